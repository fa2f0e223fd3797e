import type { Tensor } from '../graph';
import { expectShape } from '../shape';

/** x as it is, but not before `other` of the same shape is there: what is computed again from x waits until then. */
export function after(x: Tensor, other: Tensor): Tensor {
  expectShape('after', 'other', other.shape, x.shape);
  return x.graph.apply('after', [x, other], {}, [{ shape: x.shape }])[0]!;
}
