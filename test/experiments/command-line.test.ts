import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { jsonOf, rlpa } from '../cli/rlpa';

const folder = mkdtempSync(join(tmpdir(), 'rlpa-'));
const out = join(folder, 'run');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = ['train', '--out', out, '--turns', '2', '--eval-users', '6', '--dialogues-per-iteration', '6', '--iterations', '3', '--json'];

// One run from end to end, in the order in which a user would go: each step stands on the one before.
it('trains, is killed in the warm start and begins again, is interrupted and goes on, is evaluated and talks', {
  timeout: 400_000,
}, async () => {
  const killed = await rlpa(run, { send: { signal: 'SIGKILL', when: (stderr) => stderr.includes('"phase":"warm-start"') } });
  expect(killed.signal).toBe('SIGKILL');

  const stopped = await rlpa([...run, '--resume'], {
    send: { signal: 'SIGINT', when: (stderr) => stderr.includes('"phase":"ppo","done":1') },
  });
  expect(stopped.code, stopped.stderr.slice(-2000)).toBe(130);
  expect(stopped.stderr).toContain('"phase":"warm-start"'); // from the beginning: there was nothing to go on from

  const refused = await rlpa(run);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('--resume');

  const mistaken = await rlpa([...run, '--resume', '--seed', '9']);
  expect(mistaken.code).not.toBe(0);
  expect(jsonOf(mistaken).error.message).toContain('is another one: seed was 1 and is 9.');

  // what the run was begun with need not be said again
  const resumed = await rlpa(['train', '--out', out, '--resume', '--json']);
  expect(resumed.code, resumed.stderr.slice(-2000)).toBe(0);
  expect(resumed.stderr).not.toContain('"phase":"warm-start"');
  const result = jsonOf(resumed);
  expect(result).toMatchObject({ seed: 1, turns: 2, iterations: 3, training: { iterations: 3 } });
  expect(result.before.users).toBe(6);
  expect(result.after.turns).toHaveLength(2);
  expect(result.trainedPolicyFolder).toBe(join(out, 'policy'));

  const evaluated = await rlpa(['eval', '--policy', join(out, 'policy'), '--turns', '2', '--users', '6', '--json']);
  expect(evaluated.code, evaluated.stderr.slice(-2000)).toBe(0);
  // the saved policy is the trained one: the same users, the same numbers
  expect(jsonOf(evaluated).report.profileF1Last).toEqual(result.after.profileF1Last);

  const talked = await rlpa(['chat', '--policy', join(out, 'policy')], { input: 'Hello\nI live in Oslo.\n' });
  expect(talked.code, talked.stderr.slice(-2000)).toBe(0);
  expect(talked.stdout.trim().length).toBeGreaterThan(0);
});
