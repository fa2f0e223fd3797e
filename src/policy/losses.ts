import { add, exponential, maximum, minimum, multiply, scale, subtract, sum, type Tensor } from '../tensor/index';
import type { PPOLossOptions, PPOLossReport } from './trainable-policy';

/** Log-ratios are clamped to ±this before they are exponentiated. */
export const logRatioLimit = 20;

/** What the loss reads of each action token, [M] each. */
export interface PPOTerms {
  readonly logProbabilities: Tensor;
  readonly entropies: Tensor;
  readonly values: Tensor;
  readonly oldLogProbabilities: Tensor;
  readonly referenceLogProbabilities: Tensor;
  readonly oldValues: Tensor;
  readonly advantages: Tensor;
  readonly returns: Tensor;
  /** 1/normalizer for action tokens, 0 for padding. */
  readonly weights: Tensor;
}

/** Scalars of the loss as data for the compiled step. */
export interface PPOScalars {
  readonly clip: Tensor;
  readonly valueClip: Tensor;
  readonly valueCoefficient: Tensor;
  readonly entropyCoefficient: Tensor;
  readonly klLossCoefficient: Tensor;
}

const squared = (x: Tensor) => multiply(x, x);

/**
 * The clipped PPO objective (Schulman et al. 2017) with a clipped value loss, an entropy bonus and a KL term against the reference:
 * Σ w·[ max(−A·r, −A·clip(r, 1±c)) + c_v·½·max((V−R)², (V_clip−R)²) − c_e·H + c_kl·KL ], r = π/π_old.
 * KL is Schulman's k3 = e^d − 1 − d with d = log π_ref − log π, or k2 = d²/2.
 */
export function ppoLoss(terms: PPOTerms, scalars: PPOScalars, klLoss: 'k2' | 'k3'): Tensor {
  const graph = terms.logProbabilities.graph;
  const one = graph.scalar(1);
  const clamp = (x: Tensor, low: Tensor, high: Tensor) => minimum(maximum(x, low), high);
  const limit = graph.scalar(logRatioLimit);
  const limitBelow = graph.scalar(-logRatioLimit);

  const ratio = exponential(clamp(subtract(terms.logProbabilities, terms.oldLogProbabilities), limitBelow, limit));
  const clipped = clamp(ratio, subtract(one, scalars.clip), add(one, scalars.clip));
  const policy = scale(minimum(multiply(ratio, terms.advantages), multiply(clipped, terms.advantages)), -1);

  const low = subtract(terms.oldValues, scalars.valueClip);
  const high = add(terms.oldValues, scalars.valueClip);
  const value = maximum(squared(subtract(terms.values, terms.returns)), squared(subtract(clamp(terms.values, low, high), terms.returns)));

  const distance = clamp(subtract(terms.referenceLogProbabilities, terms.logProbabilities), limitBelow, limit);
  const kl = klLoss === 'k2' ? scale(squared(distance), 0.5) : subtract(subtract(exponential(distance), one), distance);

  const perToken = add(
    subtract(add(policy, multiply(scale(value, 0.5), scalars.valueCoefficient)), multiply(terms.entropies, scalars.entropyCoefficient)),
    multiply(kl, scalars.klLossCoefficient),
  );
  return sum(multiply(perToken, terms.weights));
}

/** Weighted sum of negative log-probabilities: Σ w·(−log π). */
export function crossEntropyLoss(logProbabilities: Tensor, weights: Tensor): Tensor {
  return scale(sum(multiply(logProbabilities, weights)), -1);
}

/** The same terms as numbers, for the action tokens of one or more sequences. */
export interface PPOTokenValues {
  readonly logProb: number;
  readonly entropy: number;
  readonly value: number;
  readonly oldLogProb: number;
  readonly referenceLogProb: number;
  readonly oldValue: number;
  readonly advantage: number;
  readonly return: number;
}

/** Adds up, in double precision, what {@link ppoLoss} computes on the device, and the diagnostics that go with it. */
export function reportPPOLoss(tokens: Iterable<PPOTokenValues>, options: PPOLossOptions, padding = 0): PPOLossReport {
  const { clip, valueClip, normalizer } = options;
  const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);
  const totals = { policyLoss: 0, valueLoss: 0, entropy: 0, klK1: 0, klK2: 0, klK3: 0, clipFraction: 0, approximateKl: 0 };
  let ratioMin = Number.POSITIVE_INFINITY;
  let ratioMax = Number.NEGATIVE_INFINITY;
  for (const token of tokens) {
    const logRatio = clamp(token.logProb - token.oldLogProb, -logRatioLimit, logRatioLimit);
    const ratio = Math.exp(logRatio);
    const valueClipped = clamp(token.value, token.oldValue - valueClip, token.oldValue + valueClip);
    const distance = clamp(token.referenceLogProb - token.logProb, -logRatioLimit, logRatioLimit);
    totals.policyLoss -= Math.min(ratio * token.advantage, clamp(ratio, 1 - clip, 1 + clip) * token.advantage);
    totals.valueLoss += 0.5 * Math.max((token.value - token.return) ** 2, (valueClipped - token.return) ** 2);
    totals.entropy += token.entropy;
    totals.klK1 -= distance;
    totals.klK2 += distance ** 2 / 2;
    totals.klK3 += Math.expm1(distance) - distance;
    totals.clipFraction += Math.abs(ratio - 1) > clip ? 1 : 0;
    totals.approximateKl += Math.expm1(logRatio) - logRatio;
    ratioMin = Math.min(ratioMin, ratio);
    ratioMax = Math.max(ratioMax, ratio);
  }
  const mean = Object.fromEntries(Object.entries(totals).map(([name, total]) => [name, total / normalizer])) as typeof totals;
  const { klK2, ...reported } = mean;
  const kl = options.klLoss === 'k2' ? klK2 : mean.klK3;
  const loss =
    mean.policyLoss +
    options.valueCoefficient * mean.valueLoss -
    options.entropyCoefficient * mean.entropy +
    options.klLossCoefficient * kl;
  return { ...reported, loss, ratioMin, ratioMax, padding };
}
