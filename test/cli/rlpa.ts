import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Finished {
  readonly code: number | null;
  /** The signal that ended the process, if one did. */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `rlpa` as a process of its own, as it is built of the sources.
 *
 * @param send a signal to send once `when` says so of the standard error output, which is asked whenever there is more of it, and often
 */
export function rlpa(
  args: readonly string[],
  {
    input = '',
    send,
    cwd = root,
  }: { input?: string; cwd?: string; send?: { signal: NodeJS.Signals; when: (stderr: string) => boolean } } = {},
): Promise<Finished> {
  const child = spawn(process.execPath, [join(root, 'dist/cli.js'), ...args], { cwd });
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  const look = () => {
    if (!send?.when(stderr)) return;
    child.kill(send.signal);
    send = undefined;
  };
  const timer = setInterval(look, 1);
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    look();
  });
  return new Promise((resolve) =>
    child.on('close', (code, signal) => {
      clearInterval(timer);
      resolve({ code, signal, stdout, stderr });
    }),
  );
}

/** The JSON object that a command with `--json` ends with. */
export function jsonOf({ stdout, stderr }: Finished) {
  const [line, ...more] = stdout.trim().split('\n');
  if (line === undefined || line === '' || more.length > 0) throw new Error(`expected one line of JSON, found ${stdout}\n${stderr}`);
  return JSON.parse(line);
}
