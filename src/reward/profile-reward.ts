import { checkKnown } from '../errors';
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
 * import { fuzzyMatcher, ProfileSchema, profileReward } from 'rlpa';
 * const { standard } = ProfileSchema;
 * const reward = profileReward({ matcher: fuzzyMatcher() });
 * const { f1 } = await reward.score(standard.profile({ occupation: 'nurse' }), standard.profile({ occupation: 'night nurse' })); // 1
 */
export function profileReward(options: Omit<ProfileF1Options, 'signal'> = {}): ProfileReward {
  checkKnown('profileReward', options, { matcher: true, acrossSlots: true });
  return { score: (inferred, golden, signal) => profileF1(inferred, golden, { ...options, signal }) };
}
