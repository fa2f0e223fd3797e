import type { Tensor } from '../graph';
import { expectShape } from '../shape';

/**
 * Integers one by one, i32: `a` [M] where condition [M] > 0, `b` [M] elsewhere. With `rows` [M], no two alike, `b` is [R], and a[i] takes the
 * place of b[rows[i]]. What a run has put into some rows of a buffer, beside what the others hold:
 * `graph.assign('held', select(counts, found, held))`.
 */
export function select(condition: Tensor, a: Tensor, b: Tensor, rows?: Tensor): Tensor {
  expectShape('select', 'a', a.shape, condition.shape);
  if (rows) expectShape('select', 'rows', rows.shape, condition.shape);
  else expectShape('select', 'b', b.shape, condition.shape);
  const inputs = [condition, a, b, ...(rows ? [rows] : [])];
  return condition.graph.apply('select', inputs, {}, [{ shape: b.shape, type: 'i32' }])[0]!;
}
