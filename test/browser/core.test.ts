import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeInChromium, launchChromium } from './chromium';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** What the page runs. */
const program = `
import { aiSdkChat, formatTurn, memoryStore, PersonalizedAgent, personalized, ProfileSchema, slot } from 'rlpa';
import { scriptedChatModel } from 'rlpa/testing';
import { z } from 'zod';

const schema = ProfileSchema.define({ occupation: slot.one(z.string()), interests: slot.many(z.string()) });
const known = schema.profile({ occupation: 'nurse', interests: ['jazz'] });
const store = memoryStore();
const pieces = [];
const text = new PersonalizedAgent({ schema, store, model: scriptedChatModel([formatTurn(known, 'How was the shift?')]) });
for await (const part of text.stream({ userId: 'u1', message: 'I am a nurse who likes jazz.' })) if (part.type === 'reply') pieces.push(part.text);
const json = new PersonalizedAgent({
  schema,
  store,
  model: scriptedChatModel(
    [JSON.stringify({ changes: [{ op: 'set', slot: 'occupation', value: 'teacher', evidence: 'a teacher now' }], reply: 'Congratulations!' })],
    { structuredOutput: true },
  ),
});
const turn = await json.respond({ userId: 'u1', message: 'I am a teacher now.' });
window.outcome = {
  pieces,
  reply: turn.reply,
  profile: (await text.profile('u1')).toJSON(),
  history: (await text.history('u1')).map(({ value, source, validTo }) => [value, source, validTo !== undefined]),
  functions: [aiSdkChat, personalized].map((value) => typeof value),
};
`;

describeInChromium('the core in a browser', () => {
  let server: Server;
  let browser: Browser;

  beforeAll(async () => {
    const { outputFiles } = await build({
      stdin: { contents: program, resolveDir: root },
      platform: 'browser',
      format: 'esm',
      target: 'chrome110',
      bundle: true,
      write: false,
      logLevel: 'silent',
      // Optional peers, which nothing here asks for.
      external: ['@huggingface/transformers', 'onnxruntime-node'],
      tsconfigRaw: '{}',
    });
    server = createServer(({ url }, response) => {
      const script = url === '/program.js';
      response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' });
      response.end(
        script ? outputFiles[0]!.text : '<!doctype html><link rel="icon" href="data:,"><script type="module" src="program.js"></script>',
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it('takes turns with an agent, without polyfills and without a complaint', async () => {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => complaints.push(message.text()));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction(() => 'outcome' in window);
    const outcome = await page.evaluate(() => (window as unknown as { outcome: { pieces: string[] } }).outcome);
    expect(outcome.pieces.join('')).toBe('How was the shift?');
    expect(outcome.pieces.length).toBeGreaterThan(1);
    expect(outcome).toMatchObject({
      reply: 'Congratulations!',
      profile: { occupation: 'teacher', interests: ['jazz'] },
      history: [
        ['nurse', 'stated', true],
        ['jazz', 'stated', false],
        ['teacher', 'stated', false],
      ],
      functions: ['function', 'function'],
    });
    expect(complaints).toEqual([]);
  });
});
