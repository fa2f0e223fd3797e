import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../examples/speaker';
import { formatTurn } from '../../src/profile/index';
import { type OpenAIServer, startOpenAIServer } from '../chat/openai-server';
import { type Rehearsed, writePolicyFolder } from './policy-folder';
import { runExample, type ServingExample, serveExample } from './run-example';

const dialogue: readonly Rehearsed[] = [
  { message: 'Hello', known: {}, reply: 'Hello! What do you do for a living?' },
  { message: 'I work as a nurse.', known: { occupation: 'nurse' }, reply: 'What do you do for fun?' },
  { message: 'I really like jazz.', known: { occupation: 'nurse', interests: 'jazz' }, reply: 'Where do you live?' },
  { message: 'I live in London.', known: { occupation: 'nurse', interests: 'jazz', location: 'London' }, reply: 'I see.' },
  { message: 'I work as a teacher.', known: { occupation: 'teacher', interests: 'jazz', location: 'London' }, reply: 'Good luck!' },
];

let folder: string;
let server: OpenAIServer | undefined;
let serving: ServingExample | undefined;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rlpa-examples-'));
  await writePolicyFolder(folder, dialogue);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  await serving?.stop();
  await server?.close();
  serving = server = undefined;
});

/** A language model that answers in both forms, whatever is said. */
async function startLanguageModel() {
  server = await startOpenAIServer({
    answer: ({ body }) =>
      body.response_format
        ? JSON.stringify({ changes: [{ op: 'set', slot: 'occupation', value: 'nurse', evidence: null }], reply: 'A long shift?' })
        : formatTurn(schema.profile({ occupation: 'nurse' }), 'A long shift?'),
  });
  return { OPENAI_BASE_URL: server.url, RLPA_MODEL: 'test-model' };
}

const post = (message: unknown) => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ message }),
});

describe('examples/agent.ts', () => {
  it('gets to know the user with a policy of this machine', async () => {
    const { code, stdout, stderr } = await runExample('examples/agent.ts', { RLPA_POLICY: folder });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const { message, reply } of dialogue) expect(stdout).toContain(`user:  ${message}\nagent: ${reply}\n`);
    expect(stdout).toContain('occupation: set to nurse (stated: nurse)');
    expect(stdout).toContain('occupation was nurse and is teacher now');
    expect(stdout).toMatch(/Known in the end: \{ interests: 'jazz', occupation: 'teacher', location: 'London' \}/);
  });

  it('does with a language model', async () => {
    const { code, stdout } = await runExample('examples/agent.ts', await startLanguageModel());
    expect(code).toBe(0);
    expect(stdout).toContain('agent: A long shift?');
    expect(stdout).toContain("Known in the end: { occupation: 'nurse' }");
  });

  it('says how to get somebody to answer where there is nobody', async () => {
    const { code, stdout, stderr } = await runExample('examples/agent.ts');
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('node dist/cli.js train --seed 1 --out runs/tiny');
    expect(stderr).toContain('OPENAI_API_KEY');
  });
});

describe('examples/ai-sdk.ts', () => {
  it('streams through the SDK with a policy of this machine, and goes on with an agent', async () => {
    const { code, stdout, stderr } = await runExample('examples/ai-sdk.ts', { RLPA_POLICY: folder });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const { message, reply } of dialogue.slice(0, 4)) expect(stdout).toContain(`user:  ${message}\nagent: ${reply}\n`);
    expect(stdout).toContain("knows { interests: 'jazz', occupation: 'nurse', location: 'London' }");
  });

  it('does with a language model', async () => {
    const { code, stdout, stderr } = await runExample('examples/ai-sdk.ts', await startLanguageModel());
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout.match(/agent: A long shift\?\n {2}knows \{ occupation: 'nurse' \}/g)).toHaveLength(4);
  });
});

describe('examples/hono.ts', () => {
  it('remembers each user, and forgets one who asks for it', async () => {
    serving = await serveExample('examples/hono.ts', { RLPA_POLICY: folder });
    const { url } = serving;
    const say = async (message: string) => (await fetch(`${url}/users/ada/messages`, post(message))).json();
    expect(await say('Hello')).toMatchObject({ reply: 'Hello! What do you do for a living?', profile: {} });
    expect(await say('I work as a nurse.')).toMatchObject({
      reply: 'What do you do for fun?',
      profile: { occupation: 'nurse' },
      changes: [{ op: 'set', slot: 'occupation', value: 'nurse', source: 'stated' }],
    });
    const known = async (user: string) => (await fetch(`${url}/users/${user}`)).json();
    expect([await known('ada'), await known('bob')]).toEqual([{ occupation: 'nurse' }, {}]);
    expect((await fetch(`${url}/users/ada/messages`, post(''))).status).toBe(400);
    expect((await fetch(`${url}/users/ada/messages`, post('x'.repeat(20_000)))).status).toBe(413);
    expect(await (await fetch(`${url}/users/ada`, { method: 'DELETE' })).json()).toEqual({ erased: true });
    expect(await known('ada')).toEqual({});
    expect(await serving.stop()).toBe(0);
    expect(serving.errors()).toBe('');
  });

  it('answers with a language model, and says when that cannot be had', async () => {
    serving = await serveExample('examples/hono.ts', await startLanguageModel());
    const url = `${serving.url}/users/ada/messages`;
    expect(await (await fetch(url, post('Hello'))).json()).toMatchObject({ reply: 'A long shift?', profile: { occupation: 'nurse' } });
    await server!.close();
    const failed = await fetch(url, post('Hello'));
    expect([failed.status, await failed.json()]).toEqual([502, { error: 'model-unreachable' }]);
  });
});

describe.each([
  { example: 'examples/hono.ts', path: '/users/ada/messages', told: '{"error":"aborted"}' },
  { example: 'examples/web/server.ts', path: '/messages', told: 'event: error\ndata: "aborted"' },
])('$example at Ctrl-C', ({ example, path, told }) => {
  it('tells whoever waits for an answer, lets go who is connected, and ends without a word of complaint', async () => {
    server = await startOpenAIServer({ fault: () => 'slow' });
    serving = await serveExample(example, { OPENAI_BASE_URL: server.url, RLPA_MODEL: 'test-model' });
    // a browser opens connections before it has anything to ask
    const idle = connect(Number(new URL(serving.url).port), '127.0.0.1');
    const letGo = new Promise((resolve) => idle.once('close', resolve));
    await new Promise((resolve) => idle.once('connect', resolve));
    const answer = fetch(`${serving.url}${path}`, post('Hello')).then((response) => response.text());
    await expect.poll(() => server!.requests.length).toBe(1);
    expect(await serving.stop('SIGINT')).toBe(0);
    expect(await answer).toContain(told);
    await letGo;
    expect(serving.errors()).toBe('');
  });
});
