import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Variables that tell an example who answers; those of whoever runs the tests count for nothing. */
export interface Answering {
  readonly RLPA_POLICY?: string;
  readonly OPENAI_BASE_URL?: string;
  readonly RLPA_MODEL?: string;
}

export interface ExampleOutput {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs an example to its end, as a reader would. */
export async function runExample(file: string, answering: Answering = {}): Promise<ExampleOutput> {
  const output = { stdout: '', stderr: '' };
  const child = start(file, answering, output);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, ...output };
}

export interface ServingExample {
  readonly url: string;
  /** What it wrote to stderr so far. */
  errors(): string;
  /** → its exit code. SIGINT is what Ctrl-C sends. */
  stop(signal?: 'SIGINT' | 'SIGTERM'): Promise<number | null>;
}

/** Starts an example that serves, on a free port, and waits until it says where. */
export async function serveExample(file: string, answering: Answering): Promise<ServingExample> {
  const output = { stdout: '', stderr: '' };
  const child = start(file, { ...answering, PORT: '0' } as Answering, output);
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const found = output.stdout.match(/http:\/\/\S+/);
      if (found) resolve(found[0]);
    });
    void closed.then((code) => reject(new Error(`${file} ended with ${code}:\n${output.stdout}${output.stderr}`)));
  });
  return {
    url,
    errors: () => output.stderr,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return closed;
    },
  };
}

function start(file: string, answering: Answering, output: { stdout: string; stderr: string }): ChildProcessWithoutNullStreams {
  const { OPENAI_API_KEY: _, OPENAI_BASE_URL: __, RLPA_MODEL: ___, RLPA_POLICY: ____, ...env } = process.env;
  const child = spawn(process.execPath, ['--import', 'tsx', file], { cwd: root, env: { ...env, ...answering } });
  child.stdout.on('data', (data) => {
    output.stdout += data;
  });
  child.stderr.on('data', (data) => {
    output.stderr += data;
  });
  return child;
}
