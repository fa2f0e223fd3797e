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
    const { policy, ...report } = await runEvaluation({ people: 'generated', seed: 1, subject: { policyFolder: join(outDir, 'policy') } });
    const { policy: trained, ...after } = result.after;
    expect(report).toEqual(after);
    expect(report).toMatchObject({ users: 8, turns: { length: 3 } });
  });

  it('goes on without being told its size, and is none of another', async () => {
    const resumed = await runExperiment({ ...options, iterations: 2, resume: true });
    expect(resumed.before).toEqual(result.before);
    expect(resumed.training.iterations).toBe(2);
    const mistaken = runExperiment({ ...options, size: 'tiny', resume: true });
    await expect(mistaken).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('size was "micro" and is "tiny"'),
    });
  });
});
