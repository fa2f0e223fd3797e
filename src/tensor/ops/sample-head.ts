import type { Tensor } from '../graph';
import { expectShape } from '../shape';
import { type SupportLimits, supportAttributes } from './head-log-probability';

/**
 * Samples a token a row from softmax(hidden · weightᵀ / temperature) by inverting its distribution function at uniform [B] in [0, 1); with
 * `greedy`, takes the most likely one. hidden [B, d], weight [V, d] → tokens [B] i32 and their log-probabilities [B] under that distribution.
 */
export function sampleHead(
  hidden: Tensor,
  weight: Tensor,
  uniform: Tensor,
  temperature: Tensor,
  { greedy = false, ...limits }: SupportLimits & { readonly greedy?: boolean } = {},
): { readonly tokens: Tensor; readonly logProbabilities: Tensor } {
  const rows = hidden.shape[0]!;
  expectShape('sampleHead', 'weight', weight.shape, [weight.shape[0]!, hidden.shape[1]!]);
  expectShape('sampleHead', 'uniform', uniform.shape, [rows]);
  expectShape('sampleHead', 'temperature', temperature.shape, []);
  const [tokens, logProbabilities] = hidden.graph.apply(
    'sampleHead',
    [hidden, weight, uniform, temperature],
    { greedy, ...supportAttributes(limits) },
    [{ shape: [rows], type: 'i32' }, { shape: [rows] }],
  );
  return { tokens: tokens!, logProbabilities: logProbabilities! };
}
