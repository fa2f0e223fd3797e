import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { instruction, microPolicy, warmWeights } from '../integration/micro-policy';

/** Saves a micro policy that mostly holds the form, with the setting that a training would have left beside it. */
export async function saveMicroPolicy(folder: string): Promise<void> {
  const policy = microPolicy({ weights: await warmWeights() });
  try {
    await policy.save(folder);
  } finally {
    await policy.dispose();
  }
  writeFileSync(join(folder, 'rlpa.json'), JSON.stringify({ profile: 'standard', instruction, history: 'keep' }));
}

/** `rlpa train` at the size of a micro policy: seconds, and enough for every part of a run. */
export const microTraining = (folder: string) => [
  ...['train', '--policy', folder, '--users', '12', '--eval-users', '4', '--turns', '3'],
  ...['--dialogues-per-iteration', '6', '--learning-rate', '3e-3', '--iterations', '3'],
];
