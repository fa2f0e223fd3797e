import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll } from 'vitest';
import type { TurnsProgram } from './turns-program';

/** A process that takes turns over a store, and what it has said so far. */
export interface TurnsProcess {
  /** Values that it had stored, in order. */
  readonly stored: readonly string[];
  /** Values that it had stored and erased, in order. */
  readonly erased: readonly string[];
  /** Comes when the program is about to open the store. */
  readonly ready: Promise<void>;
  /** Comes with the first turn that is stored. */
  readonly begun: Promise<void>;
  /** Comes when it has ended and everything that it said is there. Rejects if it failed by itself. */
  readonly ended: Promise<void>;
  /** Of those that take their turns at once. */
  begin(): void;
  kill(): void;
}

/** Builds the program before the tests of a file, since plain JavaScript starts several times sooner than TypeScript does. */
export function turnsProcesses(): (program: TurnsProgram) => TurnsProcess {
  const root = resolve(import.meta.dirname, '../..');
  let folder: string;
  beforeAll(async () => {
    // Under the project, where the drivers are found.
    mkdirSync(join(root, '.tmp'), { recursive: true });
    folder = mkdtempSync(join(root, '.tmp/turns-'));
    await build({
      entryPoints: [join(import.meta.dirname, 'turns-program.ts')],
      outfile: join(folder, 'turns-program.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: ['libsql', 'pg', '@huggingface/*', 'onnxruntime-node', 'openai', '#*'],
      logLevel: 'error',
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (program) => follow(spawn(process.execPath, [join(folder, 'turns-program.mjs'), JSON.stringify(program)]));
}

function follow(child: ChildProcess): TurnsProcess {
  const said = { ready: [] as string[], stored: [] as string[], erased: [] as string[] };
  const heard = { ready: () => {}, stored: () => {}, erased: () => {} };
  const hear = (word: keyof typeof heard) =>
    new Promise<void>((resolve) => {
      heard[word] = resolve;
    });
  const ready = hear('ready');
  const begun = hear('stored');
  let rest = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const space = line.indexOf(' ');
      const word = line.slice(0, space) as keyof typeof said;
      said[word].push(line.slice(space + 1));
      heard[word]();
    }
  });
  let complaints = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  const ended = once(child, 'close').then(([code, signal]) => {
    if (code !== 0 && signal !== 'SIGKILL') throw new Error(`The program ended with ${code ?? signal}: ${complaints}`);
  });
  return {
    stored: said.stored,
    erased: said.erased,
    ready: Promise.race([ready, ended]),
    begun: Promise.race([begun, ended]),
    ended,
    begin: () => void child.stdin!.write('begin\n'),
    kill: () => void child.kill('SIGKILL'),
  };
}
