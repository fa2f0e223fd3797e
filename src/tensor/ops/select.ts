import type { Tensor } from '../graph';
import { expectShape } from '../shape';

/**
 * Integers one by one: `a` where condition > 0, `b` elsewhere; all of one shape, i32. What a run has put into some rows of a buffer, beside what
 * the others hold: `graph.assign('held', select(counts, found, held))`.
 */
export function select(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  expectShape('select', 'a', a.shape, condition.shape);
  expectShape('select', 'b', b.shape, condition.shape);
  return condition.graph.apply('select', [condition, a, b], {}, [{ shape: condition.shape, type: 'i32' }])[0]!;
}
