import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { instruction, microPolicy } from '../integration/micro-policy';
import { until } from '../server/served';
import { commandLine } from './command-line';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rlpa-serve-'));
const policyFolder = join(folder, 'policy');
const messages = [{ role: 'user' as const, content: 'I like hiking.' }];

beforeAll(async () => {
  const policy = microPolicy({ seed: 1 });
  await policy.save(policyFolder);
  await policy.dispose();
  writeFileSync(join(policyFolder, 'rlpa.json'), JSON.stringify({ profile: 'standard', instruction, history: 'keep' }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Runs `rlpa serve` until it listens. */
async function serve(args: readonly string[], env: Record<string, string> = {}) {
  const argv = [join(root, 'dist/cli.js'), 'serve', '--policy', policyFolder, '--port', '0', ...args];
  const child = spawn(process.execPath, argv, { cwd: root, env: { ...process.env, ...env } });
  children.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  while (!stderr.includes('Ctrl-C stops.')) {
    if (isOver) throw new Error(`It ended: ${stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { child, ended, url: stdout.trim(), stderr: () => stderr };
}

describe('rlpa serve', () => {
  it('says where it is, answers, logs no words, keeps profiles, and finishes an answer when it is told to stop', async () => {
    const store = join(folder, 'profiles');
    const key = 'correct-horse-battery';
    const { child, ended, url, stderr } = await serve(['--store', `file:${store}`, '--name', 'tiny'], { RLPA_SERVER_TOKEN: key });
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    expect(stderr()).toContain(`Model "tiny" at ${url}, with the token. Profiles are kept in file:${store}.`);
    const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['tiny']);
    await client.chat.completions.create({ model: 'tiny', messages, user: 'ann', max_tokens: 8 });
    await expect(new OpenAI({ baseURL: url, apiKey: 'wrong', maxRetries: 0 }).models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    expect(readdirSync(store).length).toBeGreaterThan(0);
    const last = client.chat.completions.create({ model: 'tiny', messages, user: 'ben', max_tokens: 400 });
    await until(() => stderr().includes('401'), 'the requests before are over');
    await new Promise((resolve) => setTimeout(resolve, 50));
    child.kill('SIGTERM');
    expect((await last).usage!.completion_tokens).toBeGreaterThan(0);
    expect(await ended).toBe(0);
    expect(stderr()).toContain('Stopping cleanly.');
    expect(stderr()).toMatch(/Z POST \/v1\/chat\/completions 200 \d+ ms \d+\+8 tokens\n/);
    for (const secret of [key, 'wrong', 'hiking', 'ann', 'ben']) expect(stderr()).not.toContain(secret);
  });

  it('says that the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(serve(['--port', String(port)])).rejects.toThrow(
      `error: Cannot listen on 127.0.0.1:${port}: another program listens there.`,
    );
    other.close();
  });

  it('warns of an address that others reach, unless there is a token', async () => {
    const { stderr } = await serve(['--host', '0.0.0.0', '--log', 'none']);
    expect(stderr()).toContain('Warning: whoever reaches this address');
  });

  it('warns of a host name that begins as a loopback address does', async () => {
    // the name is some address's: whose, only the network knows
    const lookup = "import%20dns%20from'node:dns';dns.lookup=(name,...rest)=>rest.at(-1)(null,'127.0.0.1',4)";
    const { stderr } = await serve(['--host', '127.example.org'], { NODE_OPTIONS: `--import=data:text/javascript,${lookup}` });
    expect(stderr()).toContain('Warning: whoever reaches this address');
  });

  it('does not warn of an address that only this machine reaches', async () => {
    const { stderr } = await serve(['--host', '127.0.0.2']);
    expect(stderr()).not.toContain('Warning');
  });
});

describe('rlpa serve with wrong flags ends with exit code 2 and names the culprit', () => {
  const empty = join(folder, 'empty-token');
  it.each([
    ['nobody to answer', [], /either --policy FOLDER or --model NAME/],
    ['a folder that is not there', ['--policy', '/nowhere'], /--policy.*no such folder/s],
    ['a port that is none', ['--port', '70000'], /--port.*0 to 65535/s],
    ['a store that is none', ['--store', 'redis'], /--store.*memory, file:FOLDER/s],
    ['a database password for all to see', ['--store', 'postgres://me:secret@host/db'], /--store.*\$DATABASE_URL/s],
    ['PostgreSQL without an address', ['--store', 'postgres', '--policy', '.'], /DATABASE_URL/],
    ['a log that is none', ['--log', 'all'], /--log.*none, requests, debug/s],
    ['no turns at all', ['--concurrency', '0'], /--concurrency.*above 0/s],
    ['a token file that is not there', ['--token-file', '/nowhere'], /--token-file.*no such file/s],
    ['an empty token file', ['--token-file', empty, '--policy', '.'], /--token-file.*one line/s],
  ])('%s', async (_, argv, message) => {
    writeFileSync(empty, '\n');
    const { exitCode, stdout, stderr } = await commandLine(['serve', ...argv]);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
  });
});
