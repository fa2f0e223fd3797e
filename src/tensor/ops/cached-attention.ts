import type { Tensor } from '../graph';
import { expectShape } from '../shape';
import type { AttentionShape } from './attention';

/** Keys and values of tokens that were computed before. */
export interface AttentionCache {
  /** [rows, kvHeads, capacity, size]. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** [B] i32: how many entries each row of the batch has there. */
  readonly lengths: Tensor;
  /** [B] i32: which row of the cache is its; by default they are the same ones. */
  readonly rows?: Tensor;
  /** No length is larger; the capacity by default. A device may leave alone what is behind. */
  readonly filled?: number;
}

/**
 * Attention of new tokens over what a cache holds and over each other, for sampling: queries, keys and values are those of `length` new
 * tokens a row. New token i of row b sees the first lengths[b] entries of its row of the cache and new tokens 0…i. Rows with fewer new tokens
 * are padded on the right.
 */
export function cachedAttention(queries: Tensor, keys: Tensor, values: Tensor, cache: AttentionCache, shape: AttentionShape): Tensor {
  const { batch, length, heads, kvHeads, headSize } = shape;
  const [held, , capacity] = cache.keys.shape as [number, number, number];
  const { rows, filled = capacity } = cache;
  expectShape('cachedAttention', 'queries', queries.shape, [batch * length, heads * headSize]);
  for (const tensor of [cache.keys, cache.values])
    expectShape('cachedAttention', 'cache', tensor.shape, [rows ? held : batch, kvHeads, capacity, headSize]);
  for (const tensor of [cache.lengths, ...(rows ? [rows] : [])]) expectShape('cachedAttention', 'lengths and rows', tensor.shape, [batch]);
  return queries.graph.apply(
    'cachedAttention',
    [queries, keys, values, cache.keys, cache.values, cache.lengths, ...(rows ? [rows] : [])],
    { ...shape, capacity, filled: Math.min(filled, capacity) },
    [{ shape: queries.shape }],
  )[0]!;
}
