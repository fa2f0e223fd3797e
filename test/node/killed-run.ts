import { join } from 'node:path';
import { fileCheckpoints, fileMetrics } from '../../src/node/checkpoint';
import { PPOTrainer } from '../../src/training/index';
import { TabularPolicy } from '../training/tabular-policy';
import { late, ToyEnvironment, toyPersonas } from '../training/toy-environment';

/** A run that keeps its record in `directory`; `onCall` hears of every call of its policy. */
export function runWithRecord(directory: string, onCall?: () => void): { trainer: PPOTrainer; policy: TabularPolicy } {
  const policy = new TabularPolicy({ onCall });
  const trainer = new PPOTrainer({
    policy,
    environment: new ToyEnvironment({ turns: 2, reward: late }),
    personas: toyPersonas,
    dialogues: 8,
    minibatches: 2,
    learningRate: 0.05,
    rewardScaling: true,
    checkpointEvery: 2,
    checkpoints: fileCheckpoints(join(directory, 'checkpoints')),
    metricsLog: fileMetrics(join(directory, 'metrics.jsonl')),
  });
  return { trainer, policy };
}

const [, script, directory, fatal] = process.argv;
if (script === import.meta.filename) {
  let calls = 0;
  const { trainer } = runWithRecord(directory!, () => {
    if (++calls === Number(fatal)) process.kill(process.pid, 'SIGKILL');
  });
  await trainer.train({ iterations: 6 });
}
