import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rlpa-'));
const out = join(folder, 'run');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `rlpa` from the sources; `interrupt` sends Ctrl-C once the standard error output shows it. */
function rlpa(args: readonly string[], { input = '', interrupt }: { input?: string; interrupt?: RegExp } = {}): Promise<Finished> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'src/cli/main.ts'), ...args], { cwd: root });
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    if (interrupt?.test(stderr)) {
      interrupt = undefined;
      child.kill('SIGINT');
    }
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

const run = ['train', '--out', out, '--turns', '2', '--eval-users', '6', '--dialogues-per-iteration', '6', '--iterations', '3', '--json'];

// One run from end to end, in the order in which a user would go: each step stands on the one before.
it('trains, is interrupted and goes on, is evaluated and talks', { timeout: 400_000 }, async () => {
  const stopped = await rlpa(run, { interrupt: /"phase":"ppo","done":1/ });
  expect(stopped.code, stopped.stderr.slice(-2000)).toBe(130);

  const refused = await rlpa(run);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('--resume');

  const mistaken = await rlpa([...run, '--resume', '--seed', '9']);
  expect(mistaken.code).not.toBe(0);
  expect(mistaken.stdout + mistaken.stderr).toContain('is another one');

  const resumed = await rlpa([...run, '--resume']);
  expect(resumed.code, resumed.stderr.slice(-2000)).toBe(0);
  expect(resumed.stderr).not.toContain('"phase":"warm-start"');
  const result = JSON.parse(resumed.stdout.trim().split('\n').at(-1)!);
  expect(result.before.users).toBe(6);
  expect(result.after.turns).toHaveLength(2);
  expect(result.policyFolder).toBe(join(out, 'policy'));

  const evaluated = await rlpa(['eval', '--policy', join(out, 'policy'), '--turns', '2', '--users', '6', '--json']);
  expect(evaluated.code, evaluated.stderr.slice(-2000)).toBe(0);
  // the saved policy is the trained one: the same users, the same numbers
  expect(JSON.parse(evaluated.stdout.trim().split('\n').at(-1)!).profileF1Last).toEqual(result.after.profileF1Last);

  const talked = await rlpa(['chat', '--policy', join(out, 'policy')], { input: 'Hello\nI live in Oslo.\n' });
  expect(talked.code, talked.stderr.slice(-2000)).toBe(0);
  expect(talked.stdout.trim().length).toBeGreaterThan(0);
});
