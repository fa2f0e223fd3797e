import type { Tensor } from '../graph';
import { expectShape } from '../shape';
import type { AttentionShape } from './attention';

/**
 * Attention of new tokens over what a cache holds and over each other, for sampling: queries, keys and values are those of `length` new
 * tokens a row; the caches [B, kvHeads, capacity, size] hold lengths[b] entries. New token i of row b sees the cache's first lengths[b]
 * entries and new tokens 0…i. Rows with fewer new tokens are padded on the right.
 */
export function cachedAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  cache: { readonly keys: Tensor; readonly values: Tensor; readonly lengths: Tensor },
  shape: AttentionShape,
): Tensor {
  const { batch, length, heads, kvHeads, headSize } = shape;
  const capacity = cache.keys.shape[2]!;
  expectShape('cachedAttention', 'queries', queries.shape, [batch * length, heads * headSize]);
  expectShape('cachedAttention', 'cached keys', cache.keys.shape, [batch, kvHeads, capacity, headSize]);
  expectShape('cachedAttention', 'cached values', cache.values.shape, [batch, kvHeads, capacity, headSize]);
  expectShape('cachedAttention', 'lengths', cache.lengths.shape, [batch]);
  return queries.graph.apply('cachedAttention', [queries, keys, values, cache.keys, cache.values, cache.lengths], { ...shape, capacity }, [
    { shape: queries.shape },
  ])[0]!;
}
