import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentOptions, ExperimentResult } from '../../src/experiments/index';
import { runEvaluation, runExperiment } from '../../src/experiments/index';
import { temporaryFolder } from '../node/temporary-folder';

describe('a run of size micro that was kept', () => {
  const outDir = join(temporaryFolder(), 'run');
  const options: ExperimentOptions = { people: 'generated', seed: 1, reward: 'both', outDir, iterations: 1 };
  let result: ExperimentResult;
  beforeAll(async () => {
    result = await runExperiment({ ...options, size: 'micro' });
  });

  it('has its policy evaluated by the recipe that it was measured with in training', async () => {
    const policyFolder = join(outDir, 'policy');
    const report = await runEvaluation({ people: 'generated', seed: 1, subject: { policyFolder } });
    expect(report).toEqual({ ...result.after, policy: policyFolder });
    expect(report).toMatchObject({ users: 8, turns: { length: 3 }, temperature: 0.5 });
  });

  it('goes on without being told its size', async () => {
    const resumed = await runExperiment({ ...options, iterations: 2, resume: true });
    expect(resumed.before).toEqual(result.before);
    expect(resumed.training.iterations).toBe(2);
  });

  it('says that nothing is left to train where no more is asked for than was done, and how to go on', async () => {
    const warnings: string[] = [];
    const resumed = await runExperiment({ ...options, resume: true, onWarning: (message) => warnings.push(message) });
    expect(resumed.training.iterations).toBe(2);
    expect(warnings.at(-1)).toBe(
      'Nothing was left to train: 2 iterations are done, and 1 were asked for. Ask for more to go on (--iterations).',
    );
  });

  it('says which checkpoint is damaged, and goes on from the one before', async () => {
    const newest = join(outDir, 'checkpoints', 'checkpoint-00000002.safetensors');
    truncateSync(newest, 1000);
    const warnings: string[] = [];
    const resumed = await runExperiment({ ...options, iterations: 2, resume: true, onWarning: (message) => warnings.push(message) });
    expect(warnings[0]).toContain(`Goes on from iteration 1, for a later checkpoint is damaged: ${newest}`);
    expect(resumed.training.iterations).toBe(2);
  });

  it('is none of another size', async () => {
    const mistaken = runExperiment({ ...options, size: 'tiny', resume: true });
    await expect(mistaken).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('size was "micro" and is "tiny"'),
    });
  });
});
