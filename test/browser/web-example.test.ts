import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { startOpenAIServer } from '../chat/openai-server';
import { writePolicyFolder } from '../examples/policy-folder';
import { type ServingExample, serveExample } from '../examples/run-example';
import { describeInChromium, launchChromium } from './chromium';

const dialogue = [
  {
    message: 'I work as a nurse.',
    known: { occupation: 'nurse' },
    reply:
      'What a thing to do! Tell me: is it the days that are hard, or the nights, and what do you do when you come home from a long one?',
  },
  { message: 'Not any more: I work as a teacher.', known: { occupation: 'teacher' }, reply: 'Good luck with that <b>class</b>!' },
];

describeInChromium('examples/web', () => {
  let folder: string;
  let server: ServingExample;
  let browser: Browser;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rlpa-web-'));
    await writePolicyFolder(folder, dialogue);
    [server, browser] = await Promise.all([serveExample('examples/web/server.ts', { RLPA_POLICY: folder }), launchChromium()]);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    complaints = [];
    page = await browser.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => message.type() !== 'log' && complaints.push(message.text()));
    page.on('response', (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`));
    await page.goto(server.url);
  });
  afterEach(async () => {
    await page.context().close();
    expect(complaints).toEqual([]);
    expect(server.errors()).toBe('');
  });

  const answers = () => page.locator('#messages .agent');
  const slot = (label: string) => page.locator('#profile > div', { hasText: label });

  /** Types into whatever has the focus, as somebody at a keyboard does. */
  async function say(message: string) {
    await page.locator('#message:focus').waitFor();
    await page.keyboard.type(message);
    await page.keyboard.press('Enter');
    await page.getByText(/tokens in/).waitFor();
  }

  it('answers a typed message, and shows what is known with the words that it rests on', async () => {
    await page.evaluate(() => {
      const states: string[] = [];
      Object.assign(window, { states });
      const log = document.getElementById('messages')!;
      new MutationObserver(() => states.push(log.querySelector('.agent')?.textContent ?? '')).observe(log, {
        childList: true,
        subtree: true,
        characterData: true,
      });
    });
    expect(await slot('Occupation').textContent()).toContain('not known yet');
    await say(dialogue[0]!.message);
    expect(await answers().textContent()).toBe(dialogue[0]!.reply);
    const states = new Set(await page.evaluate(() => (window as unknown as { states: string[] }).states));
    const between = [...states].filter((text) => text !== '' && text !== dialogue[0]!.reply);
    for (const text of between) expect(dialogue[0]!.reply.startsWith(text)).toBe(true);
    expect(await slot('Occupation').locator('dd').innerText()).toMatch(/^nurse\s+stated: “I work as a nurse\.”$/);
    expect(await slot('Occupation').locator('mark').textContent()).toBe('nurse');
  });

  it('shows a reply as far as it has come', async () => {
    const reply = 'A nurse! '.repeat(40);
    const turn = JSON.stringify({ changes: [{ op: 'set', slot: 'occupation', value: 'nurse', evidence: null }], reply });
    // half of the answer comes, and then nothing
    const speaker = await startOpenAIServer({ answer: () => turn, fault: () => 'stalled' });
    const serving = await serveExample('examples/web/server.ts', { OPENAI_BASE_URL: speaker.url, RLPA_MODEL: 'test-model' });
    try {
      await page.goto(serving.url);
      await page.locator('#message:focus').waitFor();
      await page.keyboard.type(dialogue[0]!.message);
      await page.keyboard.press('Enter');
      await expect.poll(async () => (await answers().textContent())?.length).toBeGreaterThan(20);
      const shown = await answers().textContent();
      expect(reply.startsWith(shown!)).toBe(true);
      expect(shown!.length).toBeLessThan(reply.length);
    } finally {
      await page.goto(server.url);
      await serving.stop();
      await speaker.close();
    }
  });

  it('shows what has changed, what came before, and text as text', async () => {
    await say(dialogue[0]!.message);
    await page.getByText(/tokens in/).evaluate((status) => {
      status.textContent = '';
    });
    await say(dialogue[1]!.message);
    expect(await answers().last().textContent()).toBe('Good luck with that <b>class</b>!');
    expect(await slot('Occupation').locator('dd:not(.past)').innerText()).toMatch(/^teacher/);
    expect(await slot('Occupation').locator('dd.past').innerText()).toBe('nurse');
  });

  it('keeps visitors apart, remembers one who comes back, and forgets one who asks for it', async () => {
    await say(dialogue[0]!.message);
    const other = await browser.newContext().then((context) => context.newPage());
    await other.goto(server.url);
    await other.locator('#profile dd').first().waitFor();
    expect(await other.locator('#profile').innerText()).not.toContain('nurse');
    await other.context().close();
    await page.reload();
    await slot('Occupation').getByText('nurse', { exact: true }).first().waitFor();
    await page.getByRole('button', { name: 'Forget me' }).click();
    await page.getByText('Forgotten.').waitFor();
    await expect.poll(() => slot('Occupation').textContent()).toContain('not known yet');
  });

  it('is usable by keyboard alone, and in a narrow window', async () => {
    await page.setViewportSize({ width: 360, height: 640 });
    await page.locator('#message:focus').waitFor();
    await page.keyboard.press('Shift+Tab'); // from the message to the last suggestion
    await page.keyboard.press('Shift+Tab');
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('I work as a nurse.');
    await page.keyboard.press('Enter');
    await page.getByText(/tokens in/).waitFor();
    expect(await answers().textContent()).toBe(dialogue[0]!.reply);
    const overhang = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overhang).toBe(0);
  });
});
