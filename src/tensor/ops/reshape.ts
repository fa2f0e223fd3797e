import { RlpaError } from '../../errors';
import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { type Shape, sameShape, sizeOf } from '../shape';

/** The same elements in the same order under another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (sizeOf(x.shape) !== sizeOf(shape)) throw new RlpaError('invalid-graph', `reshape: [${x.shape}] does not hold [${shape}].`);
  return x.graph.apply('reshape', [x], {}, [{ shape, type: x.type }])[0]!;
}

export const reshapeRule: GradientRule = ({ inputs: [x] }, [g]) => [reshape(g!, x!.shape)];
