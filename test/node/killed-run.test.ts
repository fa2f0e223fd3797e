import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withoutTimings } from '../training/memory-record';
import { runWithRecord } from './killed-run';

const script = join(import.meta.dirname, 'killed-run.ts');

describe('a training process that is killed by the system', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'rlpa-killed-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const metricsOf = async (directory: string) => {
    const lines = (await readFile(join(directory, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
    return lines.map((line) => withoutTimings(JSON.parse(line)));
  };

  // Calls of the policy in an iteration: two of act, two of score, four of accumulatePPO and four of update.
  it.each([
    ['in a rollout', 14],
    ['between two steps of an update', 33],
    ['long after the last checkpoint', 48],
  ])(
    '%s goes on from its last checkpoint and ends as the run that was not',
    async (_moment, fatal) => {
      const whole = runWithRecord(join(root, `whole-${fatal}`));
      await whole.trainer.train({ iterations: 6 });

      const directory = join(root, `killed-${fatal}`);
      const child = spawn(process.execPath, ['--import', 'tsx', script, directory, String(fatal)], { stdio: 'inherit' });
      const [, signal] = await once(child, 'exit');
      expect(signal).toBe('SIGKILL');

      const resumed = runWithRecord(directory);
      await resumed.trainer.train({ iterations: 6, resume: true });
      expect(await metricsOf(directory)).toEqual(await metricsOf(join(root, `whole-${fatal}`)));
      expect(await resumed.policy.exportState()).toEqual(await whole.policy.exportState());
    },
    30_000,
  );
});
