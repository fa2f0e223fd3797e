import { checkKnown, RlpaError } from '../errors';
import { assertFinite } from './finite';

/** The tokens that a policy generated in one turn of a dialogue, as the advantage estimator sees them. */
export interface AdvantageTurn {
  /** V read off before each token. */
  readonly values: ArrayLike<number>;
  /** k1 estimate of KL(π‖reference) at each token: log π − log π_ref. */
  readonly kl: ArrayLike<number>;
  /** R_t, which lands on the last token. Absent where no verdict could be had: it is then never taken for 0. */
  readonly reward?: number;
}

/**
 * Whom a reward is credited to. `dialogue`: every token before it, back to the first turn. `turn`: only the turn that earned it, each
 * turn being an episode of its own, as the paper's reference code does.
 */
export type Credit = 'dialogue' | 'turn';

export interface AdvantageOptions {
  /** Discount where one turn ends and the next begins; it is 1 inside a turn. */
  readonly gamma: number;
  /** GAE's λ, at every token. */
  readonly lambda: number;
  /** Weight of the KL penalty inside the reward; 0 when KL is a loss term or absent. */
  readonly klCoefficient: number;
  readonly credit: Credit;
}

/** One entry for each generated token. */
export interface TurnAdvantages {
  readonly advantages: Float64Array;
  /** advantage + value: what the value head is to learn. */
  readonly returns: Float64Array;
}

/**
 * Generalised advantage estimation along a dialogue, in which only generated tokens exist: the step after a turn's last token is the
 * next turn's first token.
 *
 *     δ_i = r_i − klCoefficient·kl_i + γ_i V_{i+1} − V_i,   A_i = δ_i + γ_i λ A_{i+1},   return_i = A_i + V_i
 *
 * with γ_i = `gamma` on a turn's last token and 1 elsewhere (Schulman et al. 2016; the paper's γ^(t−1)).
 *
 * A δ that needs something unknown counts as 0, its own expectation under the value function. That is the last token of a turn without
 * a reward, and of the last turn when `bootstrapValue` is undefined because the dialogue broke off. Later turns still reach earlier
 * ones through it, and no missing verdict is taken for a bad one. Such turns are to be masked from the loss.
 *
 * @param turns in the order of the dialogue, each with at least one token
 * @param bootstrapValue V of the state after the last turn: 0 when the dialogue ended by itself, the value of the next state when it was
 *   truncated, undefined when nobody knows. With `credit: 'turn'` it is not used.
 * @throws RlpaError `training-failed` for a turn without tokens or with arrays of unequal length, `invalid-option`
 * @example
 * import { dialogueAdvantages } from 'rlpa';
 * const turns = [
 *   { values: [0.5, 0.6], kl: [0, 0.1], reward: 0 },
 *   { values: [0.8, 0.9], kl: [0.1, 0], reward: 1 },
 * ];
 * const [first, second] = dialogueAdvantages(turns, 0, { gamma: 1, lambda: 0.95, klCoefficient: 0.01, credit: 'dialogue' });
 */
export function dialogueAdvantages(
  turns: readonly AdvantageTurn[],
  bootstrapValue: number | undefined,
  options: AdvantageOptions,
): TurnAdvantages[] {
  checkKnown('dialogueAdvantages', options, { gamma: true, lambda: true, klCoefficient: true, credit: true });
  const out = new Array<TurnAdvantages>(turns.length);
  let nextValue = bootstrapValue;
  let nextAdvantage = 0;
  for (let t = turns.length - 1; t >= 0; t--) {
    const turn = turns[t]!;
    assertAligned(turn, t);
    if (options.credit === 'turn') {
      nextValue = 0;
      nextAdvantage = 0;
    }
    out[t] = turnAdvantages(turn, nextValue, nextAdvantage, options);
    nextValue = turn.values[0]!;
    nextAdvantage = out[t]!.advantages[0]!;
  }
  return out;
}

function turnAdvantages(
  turn: AdvantageTurn,
  valueAfter: number | undefined,
  advantageAfter: number,
  options: AdvantageOptions,
): TurnAdvantages {
  const { values, kl, reward } = turn;
  const length = values.length;
  const advantages = new Float64Array(length);
  const returns = new Float64Array(length);
  let nextValue = valueAfter;
  let nextAdvantage = advantageAfter;
  for (let i = length - 1; i >= 0; i--) {
    const last = i === length - 1;
    const gamma = last ? options.gamma : 1;
    const earned = last ? reward : 0;
    const known = earned !== undefined && nextValue !== undefined;
    const delta = known ? earned - options.klCoefficient * kl[i]! + gamma * nextValue! - values[i]! : 0;
    advantages[i] = delta + gamma * options.lambda * nextAdvantage;
    returns[i] = advantages[i]! + values[i]!;
    nextValue = values[i]!;
    nextAdvantage = advantages[i]!;
  }
  return { advantages, returns };
}

function assertAligned(turn: AdvantageTurn, index: number): void {
  const { values, kl } = turn;
  if (values.length === 0 || kl.length !== values.length) {
    throw new RlpaError(
      'training-failed',
      `Turn ${index + 1}: expected one value and one KL for each of at least one token, found ${values.length} values and ${kl.length} KLs.`,
      { turn: index + 1, values: values.length, kl: kl.length },
    );
  }
}

/** Advantages of one sequence, and which of them count. */
export interface MaskedAdvantages {
  readonly advantages: Float32Array;
  readonly actionMask: Uint8Array;
}

/** Mean and population standard deviation over the masked tokens of a whole batch. */
export function advantageMoments(batch: readonly MaskedAdvantages[]): {
  readonly mean: number;
  readonly std: number;
  readonly tokens: number;
} {
  let tokens = 0;
  let sum = 0;
  forEachMasked(batch, (value) => {
    tokens++;
    sum += value;
  });
  const mean = tokens === 0 ? 0 : sum / tokens;
  let squares = 0;
  forEachMasked(batch, (value) => {
    squares += (value - mean) ** 2;
  });
  return { mean, std: tokens === 0 ? 0 : Math.sqrt(squares / tokens), tokens };
}

/**
 * Brings the masked advantages of a whole batch to mean 0 and standard deviation 1, in place; other entries become 0.
 *
 * @returns false, with nothing changed, when they do not vary: such a batch says nothing about which action was better
 * @throws RlpaError `training-failed` when their deviation is not finite
 */
export function whiten(batch: readonly MaskedAdvantages[]): boolean {
  const { mean, std } = advantageMoments(batch);
  assertFinite('standard deviation of the advantages', std);
  // Float32 advantages: what is below their rounding is no variance.
  if (std <= 1e-7 * Math.max(1, Math.abs(mean))) return false;
  for (const { advantages, actionMask } of batch) {
    for (let i = 0; i < advantages.length; i++) advantages[i] = actionMask[i] ? (advantages[i]! - mean) / std : 0;
  }
  return true;
}

function forEachMasked(batch: readonly MaskedAdvantages[], visit: (value: number) => void): void {
  for (const { advantages, actionMask } of batch) {
    for (let i = 0; i < advantages.length; i++) if (actionMask[i]) visit(advantages[i]!);
  }
}

export interface RewardScaleState {
  readonly count: number;
  readonly mean: number;
  /** Sum of squared distances from the mean. */
  readonly squares: number;
}

/** Divides rewards by their running standard deviation (Welford 1962). The mean is not subtracted: that would change what is optimal. */
export class RewardScale {
  #count: number;
  #mean: number;
  #squares: number;

  constructor(state: RewardScaleState = { count: 0, mean: 0, squares: 0 }) {
    this.#count = state.count;
    this.#mean = state.mean;
    this.#squares = state.squares;
  }

  observe(reward: number): void {
    this.#count++;
    const distance = reward - this.#mean;
    this.#mean += distance / this.#count;
    this.#squares += distance * (reward - this.#mean);
  }

  /** What rewards are divided by: 1 until two different ones were observed. */
  get divisor(): number {
    const std = this.#count === 0 ? 0 : Math.sqrt(this.#squares / this.#count);
    return std > 1e-8 ? std : 1;
  }

  get state(): RewardScaleState {
    return { count: this.#count, mean: this.#mean, squares: this.#squares };
  }
}
