import { RlpaError } from '../../errors';
import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectShape } from '../shape';

export interface AttentionShape {
  /** Rows of the batch B and tokens in each T: activations are [B·T, …]. */
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/**
 * Causal grouped-query attention, scaled by 1/sqrt(size): queries [B·T, heads·size], keys and values [B·T, kvHeads·size] → [B·T, heads·size].
 * Query head h reads key head ⌊h / (heads/kvHeads)⌋. With `segments` [B·T] i32 a token sees only earlier tokens of its own segment:
 * padding has a segment of its own, and several sequences may share a row. Without, a row is one sequence padded on the right at most.
 */
export function attention(queries: Tensor, keys: Tensor, values: Tensor, shape: AttentionShape, segments?: Tensor): Tensor {
  const { batch, length, heads, kvHeads, headSize } = shape;
  if (heads % kvHeads !== 0) throw new RlpaError('invalid-graph', `attention: ${heads} heads can't share ${kvHeads} key heads evenly.`);
  expectShape('attention', 'queries', queries.shape, [batch * length, heads * headSize]);
  expectShape('attention', 'keys', keys.shape, [batch * length, kvHeads * headSize]);
  expectShape('attention', 'values', values.shape, [batch * length, kvHeads * headSize]);
  if (segments) expectShape('attention', 'segments', segments.shape, [batch * length]);
  const inputs = segments ? [queries, keys, values, segments] : [queries, keys, values];
  // the second output is for the gradient: two numbers a query and head that a device may keep, such as the log of the normaliser
  return queries.graph.apply('attention', inputs, { ...shape }, [{ shape: queries.shape }, { shape: [batch * length, heads * 2] }])[0]!;
}

/** With P the probabilities, dP = g·Vᵀ and S the scores: dS = P·(dP − rowsum(P·dP)), dQ = dS·K, dK = dSᵀ·Q, dV = Pᵀ·g. */
export const attentionRule: GradientRule = ({ inputs: [q, k, v, segments], outputs: [y, kept], attributes }, [g]) => [
  ...q!.graph.apply('attentionGradient', [g!, q!, k!, v!, y!, kept!, ...(segments ? [segments] : [])], attributes, [
    { shape: q!.shape },
    { shape: k!.shape },
    { shape: v!.shape },
  ]),
  undefined,
];
