import { type Profile, type ProfileF1Options, type ProfileScore, profileF1 } from '../profile/index';

/** R_profile: how well the policy knows the user. */
export interface ProfileReward {
  /** Scores the inferred profile against the golden one; the reward is `f1`, in [0, 1]. */
  score(inferred: Profile, golden: Profile, signal?: AbortSignal): Promise<ProfileScore>;
}

/**
 * F1 over slot-value pairs.
 *
 * @example
 * const { f1 } = await profileReward({ matcher: fuzzyMatcher() }).score(inferred, golden);
 */
export function profileReward(options: Omit<ProfileF1Options, 'signal'> = {}): ProfileReward {
  return { score: (inferred, golden, signal) => profileF1(inferred, golden, { ...options, signal }) };
}
