import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { describeInChromium, launchChromium } from './chromium';
import { type StaticPage, serveTrainingPage } from './training-page';

/** A whole run at the micro size on a processor that others use too. */
const runMs = 600_000;

describeInChromium('examples/browser-training', () => {
  let site: StaticPage;
  let browser: Browser;
  let complaints: string[];
  let page: Page;

  beforeAll(async () => {
    site = await serveTrainingPage();
  });
  afterEach(() => browser?.close());
  afterAll(() => site?.stop());

  async function open(options: { readonly webgpu: boolean }): Promise<void> {
    complaints = [];
    browser = await launchChromium(options);
    page = await browser.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('response', (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`));
    await page.goto(site.url);
  }

  const start = () => page.getByRole('button', { name: 'Start' });
  const status = () => page.locator('#status');
  const notice = () => page.getByRole('alert');

  it(
    'trains by PPO in the tab, draws what it comes to, and lets one talk to the result',
    async () => {
      await open({ webgpu: true });
      await start().click({ timeout: 60_000 });
      expect(await notice().isHidden()).toBe(true);
      await page.getByText(/^\d+ of \d+ dialogues · .* left$/).waitFor({ timeout: runMs });

      // a run that is stopped, here before there is anybody to talk to, can be begun again
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.getByText('Stopped.', { exact: true }).waitFor();
      expect(await page.locator('#chat').isHidden()).toBe(true);
      await start().click();
      await page.locator('[aria-current=step]', { hasText: 'PPO' }).waitFor({ timeout: runMs });
      await page.getByText('Done.', { exact: true }).waitFor({ timeout: runMs });

      await page.getByText('The curves as numbers').click();
      const points = page.locator('#points tr');
      expect(await points.count()).toBe(10);
      for (const text of await points.allInnerTexts()) expect(text).toMatch(/^\d+\t-?\d\.\d\d\t\d\.\d\d\t\d+ %$/);
      for (const curve of ['reward', 'profileF1', 'aligned']) expect(await drawnWidth(curve)).toBeGreaterThan(0.5);
      expect(await page.locator('#table').innerText()).toMatch(/\tbefore\tafter\tdifference\n.*malformed %\t\d+\.\d ± \d+\.\d\t/s);

      await page.getByLabel('Message', { exact: true }).fill('I work as a nurse.');
      await page.keyboard.press('Enter');
      await expect.poll(() => page.locator('#answer-status').textContent(), { timeout: 60_000 }).not.toBe('');
      expect(await page.locator('#messages .user').innerText()).toBe('I work as a nurse.');
      expect(await page.locator('#messages .agent').innerText()).not.toBe('');
      expect(await page.locator('#profile dt').allInnerTexts()).toContain('Occupation');
      expect(complaints).toEqual([]);
    },
    2 * runMs,
  );

  it('says what a GPU that is made of software means, and chooses the size for it', async () => {
    await open({ webgpu: true });
    await notice()
      .getByText(/some hundred times slower/)
      .waitFor();
    expect(await page.getByLabel('Micro').isChecked()).toBe(true);
    expect(await start().isEnabled()).toBe(true);
  });

  it('says what to do where there is no WebGPU, and offers nothing that would not work', async () => {
    await open({ webgpu: false });
    await notice()
      .getByText(/WebGPU/)
      .waitFor();
    expect(await notice().innerText()).toMatch(/use a browser that has it|allow WebGPU in the browser/);
    expect(await page.getByRole('button').count()).toBe(0);
    expect(await page.getByRole('textbox').count()).toBe(0);
  });

  it(
    'says that the GPU was lost, and can begin again on another',
    async () => {
      await open({ webgpu: true });
      await start().click({ timeout: 60_000 });
      await page.getByText(/^\d+ of \d+ dialogues · .* left$/).waitFor({ timeout: runMs });
      await (await browser.newBrowserCDPSession()).send('Browser.crashGpuProcess');
      await notice()
        .getByText(/The GPU was lost/)
        .waitFor({ timeout: 60_000 });
      expect(await status().innerText()).toBe('Failed.');
      await start().click();
      await page.getByText(/^[1-9]\d* of \d+ dialogues/).waitFor({ timeout: runMs });
      expect(await notice().isHidden()).toBe(true);
    },
    runMs,
  );

  it('fits a narrow window', async () => {
    await open({ webgpu: true });
    await page.setViewportSize({ width: 360, height: 640 });
    await notice().waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  });

  /** How much of a canvas's width its line spans. */
  function drawnWidth(curve: string): Promise<number> {
    return page.locator(`[data-curve=${curve}] canvas`).evaluate((node) => {
      const canvas = node as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      const style = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
      const accent = [1, 3, 5].map((at) => Number.parseInt(style.slice(at, at + 2), 16));
      const columns = new Set<number>();
      for (let i = 0; i < data.length; i += 4) {
        const isLine = data[i + 3]! > 200 && accent.every((value, channel) => Math.abs(data[i + channel]! - value) < 8);
        if (isLine) columns.add((i / 4) % canvas.width);
      }
      return (Math.max(...columns) - Math.min(...columns)) / canvas.width;
    });
  }
});
