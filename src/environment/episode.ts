import type { PolicyAction, PolicyState } from '../policy/policy';
import type { Profile, ProfileItem } from '../profile/index';
import type { TurnReward } from '../reward/index';

/** One step of the decision process: what the policy saw, did, and earned. */
export interface EpisodeTurn {
  /** 1-based. */
  readonly turn: number;
  readonly state: PolicyState;
  readonly action: PolicyAction;
  /** The user's message that this turn answers. */
  readonly userMessage: string;
  /** What the user disclosed in that message. */
  readonly disclosed: readonly ProfileItem[];
  /** How many of these were beyond the user's budget; absent when none was. */
  readonly overBudget?: number;
  /** The profile in force after this turn: the parsed one, or the last valid one when the output was malformed. */
  readonly profile: Profile;
  /** The golden profile in force at this turn. */
  readonly golden: Profile;
  /** What the user got to read. */
  readonly reply: string;
  /** Absent when the output kept the form. */
  readonly problem?: { readonly code: string; readonly message: string };
  readonly reward: TurnReward;
  /** Other actions that were sampled in this state and judged; the dialogue did not go on with them. */
  readonly alternatives?: readonly AlternativeAction[];
}

/** An action that the user never got to see. The fields are as in {@link EpisodeTurn}. */
export interface AlternativeAction {
  readonly action: PolicyAction;
  readonly profile: Profile;
  readonly reply: string;
  readonly problem?: { readonly code: string; readonly message: string };
  readonly reward: TurnReward;
}

/** A dialogue with one simulated user. */
export interface Episode {
  readonly id: string;
  readonly personaId: string;
  readonly seed: number;
  readonly turns: readonly EpisodeTurn[];
  /**
   * `terminated`: the user ended it. `truncated`: the turn limit did, or what the policy can read, and the value of the next state is
   * still worth something. `failed`: the user or an action could not be had; the turns before stand.
   */
  readonly end: 'terminated' | 'truncated' | 'failed';
  /** For `truncated`: before the turn limit, because the next state was longer than the policy can read. */
  readonly tooLong?: true;
  /**
   * For `truncated`: the state that the next turn would have had, whose value is the bootstrap. Absent where it could not be had or read,
   * and in a rollout without bootstrap.
   */
  readonly nextState?: PolicyState;
  readonly failure?: string;
}

/** All that was sampled and scored in these dialogues: the actions that they went on with, and the others. */
export function outputsOf(episodes: readonly Episode[]): AlternativeAction[] {
  return episodes.flatMap(({ turns }) => turns.flatMap((turn) => [turn, ...(turn.alternatives ?? [])]));
}
