import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileCheckpoints, fileMetrics } from '../../src/node/index';
import type { LocalPolicy } from '../../src/policy/index';
import { type CheckpointStore, PPOTrainer } from '../../src/training/index';
import { microEnvironment, microPolicy, personas, readWeights } from './micro-policy';

export const iterations = 4;

/** A PPO run over a real policy that keeps its record in `directory`. */
export function runWithRecord(
  directory: string,
  weightsFile: string,
  watch: { policy?: (policy: LocalPolicy) => void; store?: (store: CheckpointStore, directory: string) => CheckpointStore } = {},
): { trainer: PPOTrainer; policy: LocalPolicy } {
  const policy = microPolicy({ weights: readWeights(weightsFile) });
  watch.policy?.(policy);
  const checkpoints = join(directory, 'checkpoints');
  const store = fileCheckpoints(checkpoints);
  const trainer = new PPOTrainer({
    policy,
    environment: microEnvironment(),
    personas,
    dialogues: 8,
    minibatches: 2,
    learningRate: 3e-3,
    valueWarmup: 1,
    schedule: 'linear',
    stopKl: Number.POSITIVE_INFINITY,
    klTarget: 0.05,
    klHorizon: 64,
    rewardScaling: true,
    checkpointEvery: 2,
    checkpoints: watch.store?.(store, checkpoints) ?? store,
    metricsLog: fileMetrics(join(directory, 'metrics.jsonl')),
  });
  return { trainer, policy };
}

/** Each kills its process in the middle of something, after the checkpoint of iteration 2. */
export const moments: Record<string, NonNullable<Parameters<typeof runWithRecord>[2]>> = {
  // three calls of act an iteration, one for each turn
  'while sampling': { policy: (policy) => killDuring(policy, 'act', 8) },
  // four of accumulatePPO and of update, two epochs of two minibatches
  'while computing a gradient': { policy: (policy) => killDuring(policy, 'accumulatePPO', 11) },
  'while taking a step': { policy: (policy) => killDuring(policy, 'update', 10) },
  // before the run, after iteration 2 and after iteration 4
  'while writing a checkpoint': { store: (store, directory) => killWhileWriting(store, directory, 3) },
};

function kill(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** Once the call with this number (from 1) is on its way in the device's thread. */
function killDuring(policy: LocalPolicy, method: 'act' | 'accumulatePPO' | 'update', fatal: number): void {
  const original = policy[method].bind(policy) as (...args: unknown[]) => Promise<unknown>;
  let calls = 0;
  Object.assign(policy, {
    [method]: (...args: unknown[]) => {
      const result = original(...args);
      if (++calls === fatal) setTimeout(kill, 3);
      return result;
    },
  });
}

/** When the checkpoint with this number (from 1) lies there half-written. */
function killWhileWriting(store: CheckpointStore, directory: string, fatal: number): CheckpointStore {
  let saves = 0;
  return {
    latest: () => store.latest(),
    save(checkpoint) {
      const saved = store.save(checkpoint);
      const watch = () => (readdirSync(directory).some((name) => name.endsWith('.partial')) ? kill() : setImmediate(watch));
      if (++saves === fatal) watch();
      return saved;
    },
  };
}

const [, script, directory, weightsFile, moment] = process.argv;
if (script === import.meta.filename) {
  const { trainer } = runWithRecord(directory!, weightsFile!, moments[moment!]);
  await trainer.train({ iterations });
}
