import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { fileCheckpoints } from '../../src/node/index';
import type { PolicyTrainingState } from '../../src/policy/index';
import { temporaryFolder } from '../node/temporary-folder';
import { withoutTimings } from '../training/memory-record';
import { iterations, moments, runWithRecord } from './killed-run';
import { warmWeightsFile } from './micro-policy';

const script = join(import.meta.dirname, 'killed-run.ts');

function metricsOf(directory: string): Record<string, unknown>[] {
  const lines = readFileSync(join(directory, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => withoutTimings(JSON.parse(line)));
}

describe('PPO over a real policy', () => {
  const root = temporaryFolder();
  let weightsFile: string;
  const whole = join(root, 'whole');
  let finalState: PolicyTrainingState;

  async function train(directory: string, resume = false): Promise<PolicyTrainingState> {
    const { trainer, policy } = runWithRecord(directory, weightsFile);
    try {
      await trainer.train({ iterations, resume });
      return await policy.exportState();
    } finally {
      await policy.dispose();
    }
  }

  beforeAll(async () => {
    weightsFile = await warmWeightsFile();
    finalState = await train(whole);
  });

  it('learns something in the run that all others are compared with', () => {
    const metrics = metricsOf(whole);
    expect(metrics.length).toBe(iterations);
    expect(metrics.every(({ skipped }) => skipped === false)).toBe(true);
    expect(metrics[3]!.version).toBe(16);
    expect(Math.abs(metrics[3]!.kl as number)).toBeGreaterThan(1e-4);
  });

  it('gives the same metrics and weights for the same seed', async () => {
    const again = join(root, 'again');
    expect(await train(again)).toEqual(finalState);
    expect(metricsOf(again)).toEqual(metricsOf(whole));
  });

  it.each(Object.keys(moments))('killed %s, goes on from its last checkpoint and ends as the run that was not', async (moment) => {
    const directory = join(root, moment.replaceAll(' ', '-'));
    const child = spawn(process.execPath, ['--import', 'tsx', script, directory, weightsFile, moment], { stdio: 'inherit' });
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
    const files = readdirSync(join(directory, 'checkpoints'));
    expect(files.some((name) => name.endsWith('.partial'))).toBe(moment === 'while writing a checkpoint');
    expect((await fileCheckpoints(join(directory, 'checkpoints')).latest())!.position).toBe(2);

    expect(await train(directory, true)).toEqual(finalState);
    expect(metricsOf(directory)).toEqual(metricsOf(whole));
    expect(readdirSync(join(directory, 'checkpoints')).some((name) => name.endsWith('.partial'))).toBe(false);
  });
});
