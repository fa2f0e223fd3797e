import type { DialogueEnvironment } from '../environment/index';
import { checkKnown, RlpaError } from '../errors';
import type { Policy } from '../policy/index';
import type { Persona } from '../simulation/index';
import { type EvaluationReport, reportEpisodes } from './evaluation-report';

export interface EvaluateOptions {
  readonly policy: Policy;
  /** Its reward has to compute both parts, whichever of them the policy was trained with. */
  readonly environment: Pick<DialogueEnvironment, 'rollout' | 'reward'>;
  /** The users to measure with, each once. They should be people that training never met. */
  readonly personas: readonly Persona[];
  /** The users' randomness, the sampling, and the bootstrap derive from it. */
  readonly seed: number;
  /** Of the policy's sampling; default 0, which takes the most likely token everywhere. */
  readonly temperature?: number | undefined;
  /** Most dialogues at once; all of them by default. */
  readonly concurrency?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called as dialogues end. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/**
 * Lets a policy talk to each user once and measures it: profile F1 by turn, AL(k), AVG, N-IR, N-R², all with standard errors. Two
 * policies that are evaluated with the same personas and seed meet the same users; `compareReports` then pairs them.
 *
 * @throws RlpaError `invalid-option` for no personas, for two with one id, or for a reward that leaves out a part; `aborted`; and what
 * the environment throws when users, judge or policy are gone for good.
 * @example
 * import { evaluate } from 'rlpa';
 * import { tinyTask } from 'rlpa/tiny';
 * const { warmStart, measuring, heldOut } = tinyTask();
 * const report = await evaluate({ ...measuring, policy: await warmStart(), personas: heldOut });
 * report.profileF1Last.mean;
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationReport> {
  checkKnown('evaluate', options, {
    policy: true,
    environment: true,
    personas: true,
    seed: true,
    temperature: true,
    concurrency: true,
    signal: true,
    onProgress: true,
  });
  const { policy, environment, personas, seed, temperature = 0, concurrency, signal, onProgress } = options;
  const { parts } = environment.reward;
  if (parts !== 'both') {
    throw new RlpaError('invalid-option', `An evaluation needs a reward of both parts; this environment's computes only '${parts}'.`, {
      option: 'environment',
      found: parts,
    });
  }
  const ids = new Set(personas.map((persona) => persona.id));
  if (personas.length === 0 || ids.size < personas.length) {
    throw new RlpaError('invalid-option', `An evaluation needs personas, each once; found ${personas.length} with ${ids.size} ids.`, {
      option: 'personas',
    });
  }
  const total = personas.length;
  let done = 0;
  onProgress?.({ done, total });
  const episodes = await environment.rollout({
    policy,
    personas,
    seed,
    temperature,
    concurrency,
    signal,
    samplesPerTurn: 1,
    bootstrap: false,
    onEpisode: () => onProgress?.({ done: ++done, total }),
  });
  return reportEpisodes(episodes, { policy: policy.name, seed, temperature });
}
