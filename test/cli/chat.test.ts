import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CommandContext } from '../../src/cli/context';
import { ProfileSchema } from '../../src/profile/index';
import { serveAgent } from '../../src/server/index';
import { scriptedChatModel } from '../../src/testing/index';
import { heldBy } from '../held-signal';
import { commandLine } from './command-line';

const answers = [
  '<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nHow was the ward?\n</response>',
  '<profile>\n- Occupation: nurse\n- Interests: jazz\n</profile>\n\n<response>\nWhich records?\n</response>',
];

/** A "saved policy" that says what the test scripted, and remembers whether it was put away. */
function openedPolicy(script: string[]) {
  const opened = { disposed: false };
  const openPolicy: CommandContext['openPolicy'] = async () => ({
    model: scriptedChatModel(script),
    schema: ProfileSchema.standard,
    dispose: async () => {
      opened.disposed = true;
    },
  });
  return { opened, openPolicy };
}

describe('rlpa chat', () => {
  it('answers the lines of a pipe and shows what the profile gained after each', async () => {
    const { opened, openPolicy } = openedPolicy(answers);
    const stdin = 'Night shift again.\n\nI put on some jazz after it.\n/profile\n/quit\nnever read\n';
    const { exitCode, stdout } = await commandLine(['chat', '--policy', '.'], { stdin, openPolicy });
    expect(exitCode).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'you   › Night shift again.',
      'agent › How was the ward?',
      '        occupation: set to nurse  (a guess, 40 %)', // no word of the message says it
      'you   › I put on some jazz after it.',
      'agent › Which records?',
      '        interests: added jazz  (you said “jazz”)',
      'interests: jazz  (you said “jazz”)', // in the schema's order
      'occupation: nurse  (a guess, 40 %)',
      '',
    ]);
    expect(opened.disposed).toBe(true);
  });

  it('leaves nothing of a message on the signal of the program', async () => {
    const { signal } = new AbortController();
    const held: number[] = [];
    const openPolicy: CommandContext['openPolicy'] = async () => ({
      model: scriptedChatModel(() => {
        held.push(heldBy(signal));
        return answers[0]!;
      }),
      schema: ProfileSchema.standard,
      dispose: async () => {},
    });
    await commandLine(['chat', '--policy', '.'], { stdin: 'One.\nTwo.\nThree.\n', openPolicy, signal });
    expect(held).toHaveLength(3);
    expect(new Set(held).size).toBe(1);
  });

  it('with --json prints all turns and the final profile as one object', async () => {
    const { openPolicy } = openedPolicy(answers);
    const { stdout } = await commandLine(['chat', '--policy', '.', '--json'], { stdin: 'Night shift.\nJazz!', openPolicy });
    const json = JSON.parse(stdout);
    expect(json.turns.map((turn: { reply: string }) => turn.reply)).toEqual(['How was the ward?', 'Which records?']);
    expect(json.profile).toEqual({ occupation: 'nurse', interests: ['jazz'] });
  });

  it('fails with the reason when the model does, and puts the policy away', async () => {
    const { opened, openPolicy } = openedPolicy([]);
    const { exitCode, stderr } = await commandLine(['chat', '--policy', '.'], { stdin: 'Hello\n', openPolicy });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('The script has 0 answers');
    expect(opened.disposed).toBe(true);
  });

  it('keeps the profile of a user in a store, and forgets it when it is told to', async () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'rlpa-chat-')), 'profiles');
    const chat = async (user: string, stdin: string) => {
      const { openPolicy } = openedPolicy(answers);
      return (await commandLine(['chat', '--policy', '.', '--store', `file:${folder}`, '--user', user], { stdin, openPolicy })).stdout;
    };
    await chat('ann', 'I am a nurse.\n');
    expect(await chat('ben', '/profile\n')).toContain('Nothing is known yet.');
    expect(await chat('ann', '/profile\n')).toContain('occupation: nurse  (you said “nurse”)');
    expect(await chat('ann', '/history\n')).toMatch(/occupation: nurse {2}20\d\d-\d\d-\d\d \d\d:\d\d – now/);
    expect(await chat('ann', '/forget\n/profile\n/history\n')).toBe(
      'All of it is erased.\nNothing is known yet.\nNothing was ever known.\n',
    );
    expect(await chat('ann', '/forget\n')).toBe('There was nothing to forget.\n');
  });

  it('says what there is where a command is not known, and tells the model nothing of it', async () => {
    const { openPolicy } = openedPolicy([]);
    const { exitCode, stdout } = await commandLine(['chat', '--policy', '.'], { stdin: '/proflie now\n', openPolicy });
    expect(exitCode).toBe(0);
    expect(stdout).toContain('There is no /proflie.');
    for (const name of ['/profile', '/history', '/forget', '/help', '/quit']) expect(stdout).toContain(name);
  });

  it('lets a person go on after an answer that failed', async () => {
    const { openPolicy } = openedPolicy([]);
    const { exitCode, stdout } = await commandLine(['chat', '--policy', '.'], { stdin: 'Hello\n/quit\n', openPolicy, typing: true });
    expect(exitCode).toBe(0);
    expect(stdout).toContain('The script has 0 answers');
  });
});

describe('rlpa chat with a server of rlpa serve', () => {
  const token = 'correct-horse';
  const served = (script: string[]) =>
    serveAgent({ schema: ProfileSchema.standard, model: scriptedChatModel(script), modelName: 'policy', token });
  const chat = (url: string, stdin: string, { model = 'policy', key = token, more = [] as string[] } = {}) =>
    commandLine(['chat', '--model', model, '--base-url', url, ...more], { stdin, env: { RLPA_API_KEY: key } });

  it("shows what the server's profile gained after each answer, and why", async () => {
    const server = await served(answers);
    const { exitCode, stdout } = await chat(server.url, 'Night shift again.\nI put on some jazz after it.\n/profile\n/history\n/forget\n');
    await server.close();
    expect(exitCode).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'you   › Night shift again.',
      'agent › How was the ward?',
      '        occupation: set to nurse  (a guess, 40 %)',
      'you   › I put on some jazz after it.',
      'agent › Which records?',
      '        interests: added jazz  (you said “jazz”)',
      'interests: jazz  (you said “jazz”)',
      'occupation: nurse  (a guess, 40 %)',
      'Out of reach from here: the server keeps what it knows.',
      'Out of reach from here: the server keeps what it knows.',
      '',
    ]);
  });

  it('is the user that --user names, whom the server knows the next time', async () => {
    const server = await served([...answers, answers[1]!]);
    await chat(server.url, 'Night shift again.\n', { more: ['--user', 'ann'] });
    await chat(server.url, 'I put on some jazz.\n', { more: ['--user', 'ben', '--json'] });
    const { stdout } = await chat(server.url, 'I put on some jazz.\n', { more: ['--user', 'ann', '--json'] });
    await server.close();
    expect(JSON.parse(stdout)).toMatchObject({
      turns: [{ reply: 'Which records?', changes: ['interests: added jazz'] }],
      profile: { occupation: 'nurse', interests: ['jazz'] },
    });
  });

  it('says what is wrong with a token, a name, an address and a store', async () => {
    const server = await served([]);
    const port = new URL(server.url).port;
    const outcome = async (...args: Parameters<typeof chat>) => {
      const { exitCode, stderr } = await chat(...args);
      return `${exitCode} ${stderr.trim()}`;
    };
    const wrongToken = await outcome(server.url, 'Hello\n', { key: 'wrong-horse' });
    const wrongName = await outcome(server.url, 'Hello\n', { model: 'another' });
    const wrongPath = await outcome(`http://127.0.0.1:${port}`, 'Hello\n');
    const store = await outcome(server.url, 'Hello\n', { more: ['--store', 'file:profiles'] });
    await server.close();
    const nobody = await outcome(server.url, 'Hello\n');
    expect(wrongToken).toMatch(/^1 error: Model "policy" at http:\/\/127\.0\.0\.1:\d+: .* 401 .* RLPA_API_KEY/);
    expect(wrongToken).not.toContain('wrong-horse');
    expect(wrongName).toMatch(/^1 error: Model "another" .*; this server has "policy"\.$/);
    expect(wrongPath).toMatch(/^1 error: .* 404 .* Most end in \/v1\.$/);
    expect(store).toMatch(/^2 error: --store .* this server keeps them itself\.$/);
    expect(nobody).toMatch(/^1 error: .* cannot be reached: connect ECONNREFUSED/);
  });

  it('stops an answer that is interrupted, and leaves the server nothing of it', async () => {
    const interrupt = new AbortController();
    const model = scriptedChatModel([]);
    const server = await serveAgent({
      schema: ProfileSchema.standard,
      modelName: 'policy',
      model: {
        ...model,
        async *stream({ signal }) {
          yield { type: 'text', text: '<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nHow ' };
          interrupt.abort();
          await new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)));
        },
      },
    });
    const { exitCode, stdout, stderr } = await commandLine(['chat', '--model', 'policy', '--base-url', server.url], {
      stdin: 'Night shift again.\n',
      signal: interrupt.signal,
    });
    expect(exitCode).toBe(130);
    expect(stderr).not.toContain('    at ');
    expect(stdout).not.toContain('occupation');
    await expect.poll(() => server.counters.running).toBe(0);
    await server.close();
  });
});
