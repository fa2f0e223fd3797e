import { withDeadline } from '../deadline';
import { abortedError, checkKnown, type ErrorCode, invalidOption, RlpaError, throwIfAborted } from '../errors';
import type { Profile, ProfileScore } from '../profile/index';
import { type ProfileReward, profileReward } from './profile-reward';
import { passes, type ResponseReward, responseReward } from './response-reward';
import type { JudgeContext, TurnReward, Verdict } from './verdict';

export interface DualRewardOptions {
  /** How well the profile is known; default `profileReward()`, the F1 of its items. */
  readonly profile?: ProfileReward | undefined;
  /** How good the reply is; default `responseReward()`, the verdict of `ruleJudge()`. */
  readonly response?: ResponseReward | undefined;
  /** The ablations: only one of the two parts is computed. Default `both`. */
  readonly parts?: 'profile' | 'response' | 'both' | undefined;
  /** Factors of the parts; default 1 and 1, so that a turn earns 0 to 2. */
  readonly weights?: { readonly profile?: number; readonly response?: number } | undefined;
  /**
   * What output that broke the form earns. Default -0.2: less than the worst well-formed turn, which earns 0, so that the form is
   * worth keeping before anything else is learned.
   */
  readonly malformedReward?: number | undefined;
}

/** A turn as far as it is scored. */
export interface RewardContext extends JudgeContext {
  readonly inferred: Profile;
  /** How the output broke the form; absent when it kept it. */
  readonly problem?: { readonly code: string; readonly message: string };
  /** Deadline for each of the two parts, in milliseconds. A turn that misses it is `unjudged`. Without it, that of the judge's model counts. */
  readonly timeoutMs?: number;
}

export interface RewardCounts {
  readonly scored: number;
  readonly malformed: number;
  readonly unjudged: number;
  /** The unjudged turns by the code of the error; `other` for errors that are not the library's. */
  readonly failures: Readonly<Partial<Record<ErrorCode | 'other', number>>>;
}

/**
 * R_t = w_profile · F1 + w_response · (N·R·L·G·F), the reward of one turn.
 *
 * A turn whose output broke the form earns a fixed low reward and is not judged. A turn for which a verdict could not be had is
 * `unjudged`: it has no reward, is masked from training, and says why. All three are counted.
 *
 * @throws `invalid-option` for weights that are not finite and non-negative or a `malformedReward` that is not finite.
 * @example
 * import { DualReward, ProfileSchema, responseReward, ruleJudge } from 'rlpa';
 * const reward = new DualReward({ response: responseReward({ judge: ruleJudge() }), parts: 'both' });
 * const golden = ProfileSchema.standard.profile({ occupation: 'nurse', interests: ['jazz'] });
 * const { total, status, profile, response } = await reward.score({
 *   dialogue: [{ role: 'user', content: 'I am a nurse.' }],
 *   reply: 'A nurse, that keeps you busy. What do you do for fun?',
 *   inferred: ProfileSchema.standard.profile({ occupation: 'nurse' }),
 *   golden,
 *   disclosed: golden.items().filter(({ slot }) => slot === 'occupation'),
 * }); // total: 2/3 + 1
 */
export class DualReward {
  readonly parts: 'profile' | 'response' | 'both';
  readonly weights: { readonly profile: number; readonly response: number };
  readonly malformedReward: number;
  readonly #profile: ProfileReward;
  readonly #response: ResponseReward;
  #counts: RewardCounts = { scored: 0, malformed: 0, unjudged: 0, failures: {} };

  constructor(options: DualRewardOptions = {}) {
    checkKnown('DualReward', options, { profile: true, response: true, parts: true, weights: true, malformedReward: true });
    if (options.weights !== undefined) checkKnown('weights', options.weights, { profile: true, response: true });
    this.parts = options.parts ?? 'both';
    this.weights = { profile: options.weights?.profile ?? 1, response: options.weights?.response ?? 1 };
    this.malformedReward = options.malformedReward ?? -0.2;
    this.#profile = options.profile ?? profileReward();
    this.#response = options.response ?? responseReward();
    if (!['profile', 'response', 'both'].includes(this.parts))
      throw invalidOption('DualReward', 'parts', "'profile', 'response' or 'both'", this.parts);
    for (const [name, weight] of Object.entries(this.weights)) {
      if (!(Number.isFinite(weight) && weight >= 0))
        throw invalidOption('DualReward', `weights.${name}`, 'a finite number of at least 0', weight);
    }
    if (!Number.isFinite(this.malformedReward))
      throw invalidOption('DualReward', 'malformedReward', 'a finite number', this.malformedReward);
  }

  /** How the turns so far came out. */
  get counts(): RewardCounts {
    return this.#counts;
  }

  /** @throws `aborted` (or the signal's own reason) when the context's signal fires; nothing else. */
  async score(context: RewardContext): Promise<TurnReward> {
    throwIfAborted(context.signal);
    if (context.problem !== undefined) {
      this.#counts = { ...this.#counts, malformed: this.#counts.malformed + 1 };
      return { total: this.malformedReward, status: 'malformed' };
    }
    const [profile, response] = await Promise.allSettled([this.#scoreProfile(context), this.#judgeResponse(context)]);
    if (context.signal?.aborted) throw abortedError(context.signal);

    const parts = {
      ...(profile.status === 'fulfilled' && profile.value && { profile: profile.value }),
      ...(response.status === 'fulfilled' && response.value && { response: response.value }),
    };
    const failed = [profile, response].find((part) => part.status === 'rejected');
    if (failed !== undefined) return { total: 0, status: 'unjudged', ...parts, failure: this.#countFailure(failed.reason) };

    this.#counts = { ...this.#counts, scored: this.#counts.scored + 1 };
    const total =
      (parts.profile === undefined ? 0 : this.weights.profile * parts.profile.f1) +
      (parts.response !== undefined && passes(parts.response) ? this.weights.response : 0);
    return { total, status: 'scored', ...parts };
  }

  async #scoreProfile(context: RewardContext): Promise<ProfileScore | undefined> {
    if (this.parts === 'response') return undefined;
    return inTime('The profile reward', context, ({ inferred, golden, signal }) => this.#profile.score(inferred, golden, signal));
  }

  async #judgeResponse(context: RewardContext): Promise<Verdict | undefined> {
    if (this.parts === 'profile') return undefined;
    return inTime('The verdict on a reply', context, (within) => this.#response.verdict(within));
  }

  #countFailure(error: unknown): string {
    const code = RlpaError.isInstance(error) ? error.code : 'other';
    const { unjudged, failures } = this.#counts;
    this.#counts = { ...this.#counts, unjudged: unjudged + 1, failures: { ...failures, [code]: (failures[code] ?? 0) + 1 } };
    const message = error instanceof Error ? error.message : String(error);
    return code === 'other' ? message : `${code}: ${message}`;
  }
}

function inTime<T>(what: string, context: RewardContext, work: (context: RewardContext) => Promise<T>): Promise<T> {
  const { timeoutMs, signal } = context;
  return timeoutMs === undefined ? work(context) : withDeadline(what, timeoutMs, signal, (within) => work({ ...context, signal: within }));
}
