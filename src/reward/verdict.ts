import type { Profile, ProfileItem, ProfileScore } from '../profile/index';
import type { DialogueMessage } from '../simulation/index';

/** The paper's five criteria for a reply. */
export const criteria = ['naturalness', 'relevance', 'logic', 'engagement', 'informativeness'] as const;
export type Criterion = (typeof criteria)[number];

export interface CriterionVerdict {
  readonly pass: boolean;
  readonly reason: string;
}

/** Five binary verdicts. The response reward is 1 if all pass and 0 otherwise. */
export type Verdict = Readonly<Record<Criterion, CriterionVerdict>>;

/** All that a judge may look at. */
export interface JudgeContext {
  /** Up to and including the user's message that is being answered. */
  readonly dialogue: readonly DialogueMessage[];
  readonly reply: string;
  readonly golden: Profile;
  /** What the policy believes; the paper's reference code judges by it, ours by the golden profile unless told otherwise. */
  readonly inferred?: Profile;
  /** The golden items that the user has disclosed so far. */
  readonly disclosed: readonly ProfileItem[];
  readonly signal?: AbortSignal;
}

/** Gives the five verdicts, or throws an `RlpaError` when it cannot: a verdict is never made up. */
export interface ResponseJudge {
  readonly name: string;
  judge(context: JudgeContext): Promise<Verdict>;
}

/** The reward of one turn and everything it came from. */
export interface TurnReward {
  /** R_t. Meaningless, and masked from training, when `status` is `unjudged`. */
  readonly total: number;
  /** `malformed`: the output broke the form and earned the fixed low reward. `unjudged`: a verdict could not be had. */
  readonly status: 'scored' | 'malformed' | 'unjudged';
  /** Unweighted parts; absent where the part was not computed. */
  readonly profile?: ProfileScore;
  readonly response?: Verdict;
  /** Why there is no verdict. */
  readonly failure?: string;
}
