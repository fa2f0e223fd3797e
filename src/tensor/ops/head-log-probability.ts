import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank, expectShape } from '../shape';

/** Limits the support of a distribution over tokens. Absent: the whole vocabulary. */
export interface SupportLimits {
  /** Keep the k most likely tokens. */
  readonly topK?: number;
  /** Keep the fewest tokens whose probabilities reach this sum. */
  readonly topP?: number;
}

/** Attributes hold numbers: 0 and 1 stand for "no limit". */
export function supportAttributes({ topK = 0, topP = 1 }: SupportLimits): { topK: number; topP: number } {
  return { topK, topP };
}

export interface HeadResult {
  /** log π(target) [M]. */
  readonly logProbabilities: Tensor;
  /** Entropy of π [M], in nats. */
  readonly entropies: Tensor;
}

/**
 * The language-model head as one operation: logits = hidden · weightᵀ / temperature, then log-softmax, gather and entropy, a chunk of rows
 * at a time, so that the logits [M, V] never exist as a whole, in neither direction. hidden [M, d], weight [V, d], targets [M] i32,
 * temperature a scalar. With limits the softmax is over the support that sampling used; the target is always in it.
 */
export function headLogProbability(
  hidden: Tensor,
  weight: Tensor,
  targets: Tensor,
  temperature: Tensor,
  limits: SupportLimits = {},
): HeadResult {
  expectRank('headLogProbability', 'hidden', hidden.shape, 2);
  const [rows, width] = [hidden.shape[0]!, hidden.shape[1]!];
  expectShape('headLogProbability', 'weight', weight.shape, [weight.shape[0]!, width]);
  expectShape('headLogProbability', 'targets', targets.shape, [rows]);
  expectShape('headLogProbability', 'temperature', temperature.shape, []);
  const [logProbabilities, entropies] = hidden.graph.apply(
    'headLogProbability',
    [hidden, weight, targets, temperature],
    supportAttributes(limits),
    // log-probability, entropy, and for the gradient the log-normaliser and the smallest logit of the support
    [{ shape: [rows] }, { shape: [rows] }, { shape: [rows] }, { shape: [rows] }],
  );
  return { logProbabilities: logProbabilities!, entropies: entropies! };
}

/**
 * With l the logits, z = l − log Σ exp l and p = exp z: d log π(a)/dl = onehot(a) − p and dH/dl = −p·(z + H).
 */
export const headLogProbabilityRule: GradientRule = (
  { inputs: [hidden, weight, targets, temperature], outputs: [, entropies, normalizer, threshold], attributes },
  [toLogProbability, toEntropy],
) => {
  const zeros = () => hidden!.graph.constant([hidden!.shape[0]!], new Float32Array(hidden!.shape[0]!));
  const [toHidden, toWeight] = hidden!.graph.apply(
    'headLogProbabilityGradient',
    [hidden!, weight!, targets!, temperature!, entropies!, normalizer!, threshold!, toLogProbability ?? zeros(), toEntropy ?? zeros()],
    { ...attributes, withEntropy: toEntropy !== undefined },
    [{ shape: hidden!.shape }, { shape: weight!.shape }],
  );
  return [toHidden, toWeight, undefined, undefined];
};
