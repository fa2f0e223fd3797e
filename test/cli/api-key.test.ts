import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandLine } from './command-line';

/** A chat-completions server that keeps the authorization it was shown. */
const shown: (string | undefined)[] = [];
const server = createServer((request, response) => {
  shown.push(request.headers.authorization);
  const message = { role: 'assistant', content: '{"changes":[],"reply":"Hi."}' };
  const chunk = { id: '1', object: 'chat.completion.chunk', created: 1, model: 'm' };
  response.setHeader('content-type', 'text/event-stream');
  response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta: message, finish_reason: null }] })}\n\n`);
  response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`);
  response.end('data: [DONE]\n\n');
});
let url = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
afterAll(() => server.close());

const chatWith = async (flags: string[], env: Record<string, string>) => {
  shown.length = 0;
  const { exitCode, stdout } = await commandLine(['chat', '--model', 'm', ...flags], { stdin: 'Hello\n', env });
  expect(stdout).toContain('agent › Hi.');
  expect(exitCode).toBe(0);
  return shown[0];
};

describe('API keys', () => {
  it('shows the key of OpenAI to no server that a flag names', async () => {
    expect(await chatWith(['--base-url', url], { OPENAI_API_KEY: 'openai-key' })).toBeUndefined();
  });

  it('shows such a server the key that is meant for it', async () => {
    expect(await chatWith(['--base-url', url], { OPENAI_API_KEY: 'openai-key', RLPA_API_KEY: 'own-key' })).toBe('Bearer own-key');
  });

  it('shows it without the blanks and line ends around it', async () => {
    expect(await chatWith(['--base-url', url], { RLPA_API_KEY: ' own-key\n' })).toBe('Bearer own-key');
  });

  it('takes key and address from the environment together', async () => {
    expect(await chatWith([], { OPENAI_API_KEY: 'openai-key', OPENAI_BASE_URL: url })).toBe('Bearer openai-key');
  });
});
