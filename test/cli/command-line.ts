import { PassThrough } from 'node:stream';
import type { CommandContext } from '../../src/cli/context';
import { runCommandLine } from '../../src/cli/program';

export interface CommandLineRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line inside the test. What the test does not replace must not be reached. */
export async function commandLine(
  argv: readonly string[],
  replaced: Partial<Omit<CommandContext, 'argv' | 'terminal'>> & {
    stdin?: string;
    env?: Record<string, string>;
    tty?: boolean;
    /** A person types, line by line. */
    typing?: boolean;
  } = {},
): Promise<CommandLineRun> {
  const { stdin = '', env = {}, tty = false, typing = false, ...context } = replaced;
  const input = new PassThrough();
  input.end(stdin);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const exitCode = await runCommandLine({
    argv,
    terminal: { stdin: Object.assign(input, { isTTY: typing }), stdout, stderr: Object.assign(stderr, { isTTY: tty }), env },
    signal: new AbortController().signal,
    runExperiment: unreachable,
    runEvaluation: unreachable,
    openPolicy: unreachable,
    ...context,
  });
  return { exitCode, stdout: text(stdout), stderr: text(stderr) };
}

function text(stream: PassThrough): string {
  const chunk = stream.read() as Buffer | null;
  return chunk?.toString() ?? '';
}

function unreachable(): never {
  throw new Error('The command got as far as doing its work.');
}
