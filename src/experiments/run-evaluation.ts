import { type EvaluationReport, evaluate } from '../evaluation/index';
import { chatPolicy, LocalPolicy } from '../policy/index';
import { openDevice } from './device';
import { environmentFor } from './environments';
import type { EvaluationOptions, ExperimentProgress, RunEvaluation } from './experiment';
import { findPeople } from './people';
import { recipeFor } from './recipes';
import { checkSetting, pretrainedSetting } from './setting';
import { readSetting } from './setting-file';
import { seedFor } from './warm-start';

/** Measures a saved policy or a chat model with the people that an experiment of the same seed keeps for measuring. */
export const runEvaluation: RunEvaluation = async (options: EvaluationOptions): Promise<EvaluationReport> => {
  const { people, seed, subject, signal, onProgress } = options;
  const kind = people === 'generated' ? 'generated' : 'recorded';
  const folder = 'policyFolder' in subject ? subject.policyFolder : undefined;
  const setting = (folder === undefined ? undefined : await readSetting(folder)) ?? pretrainedSetting(kind);
  checkSetting(setting, kind);
  const recipe = recipeFor(setting);
  const { heldOut } = await findPeople({
    people,
    profile: setting.profile,
    seed,
    users: 1,
    evalUsers: options.evalUsers ?? recipe.evalUsers,
  });
  const environment = environmentFor(setting, options, { turns: options.turns ?? recipe.turns, reward: 'both' });
  const measured = (policy: Parameters<typeof evaluate>[0]['policy']) =>
    evaluate({
      policy,
      environment,
      personas: heldOut,
      seed: seedFor(seed, 'evaluation'),
      temperature: recipe.temperature,
      signal,
      onProgress: progressOf('evaluate', onProgress),
    });
  if ('chatModel' in subject) return measured(chatPolicy(subject.chatModel));
  const policy = await LocalPolicy.load(subject.policyFolder, {
    name: subject.policyFolder,
    device: await openDevice(options),
    signal,
    maxNewTokens: recipe.maxNewTokens,
  });
  try {
    return await measured(policy);
  } finally {
    await policy.dispose();
  }
};

/** Turns an evaluation's progress into an experiment's. */
export function progressOf(
  phase: 'evaluate' | 'evaluate-before' | 'evaluate-after',
  onProgress: ((event: ExperimentProgress) => void) | undefined,
): (progress: { readonly done: number; readonly total: number }) => void {
  return ({ done, total }) => onProgress?.({ phase, done, total, unit: 'dialogues' });
}
