import type { Episode, History } from '../environment/index';
import type { Policy } from '../policy/index';
import type { Random } from '../random';
import type { Persona } from '../simulation/index';
import type { HistoryForm } from './sequences';

export interface RolloutRequest {
  readonly policy: Policy;
  /** One dialogue with each, in order. */
  readonly personas: readonly Persona[];
  /** Everything random in these dialogues derives from it. */
  readonly seed: number;
  /** Whether the state after the turn limit is wanted, for its value; default true. */
  readonly bootstrap?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What PPO needs of an environment: whole dialogues of a policy that samples. `DialogueEnvironment` is one. */
export interface RolloutEnvironment {
  /** `keep`: earlier turns stay in the prompt as they were, token for token, and the trainer holds the environment to it. */
  readonly history?: History;
  /** What its episodes depend on besides the policy, the personas and the seed: it is said where a resumed run has others. */
  readonly conditions?: Readonly<Record<string, unknown>>;
  /** Refuses who cannot take part: asked of every persona before the run begins. */
  checkPersona?(persona: Persona): void;
  rollout(request: RolloutRequest): Promise<readonly Episode[]>;
}

export function historyForm(environment: RolloutEnvironment): HistoryForm {
  return environment.history === 'keep' ? 'keep' : 'any';
}

/** The personas at positions `from` to `from + count − 1` of an endless list in which every pass over all of them has its own order. */
export function drawPersonas(personas: readonly Persona[], from: number, count: number, random: Random): Persona[] {
  const out: Persona[] = [];
  let order: readonly Persona[] = [];
  for (let position = from; position < from + count; position++) {
    const index = position % personas.length;
    if (out.length === 0 || index === 0) order = random.split('pass', Math.floor(position / personas.length)).shuffle(personas);
    out.push(order[index]!);
  }
  return out;
}
