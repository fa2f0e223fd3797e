import { RlpaError } from '../../errors';
import type { Tensor } from '../graph';
import { type Shape, sameShape, sizeOf } from '../shape';
import { reshape } from './reshape';
import { sum } from './sum';
import { sumRows } from './sum-rows';

/** Shape of an elementwise result. One operand may be a scalar, or a row [d] beside a matrix [N, d]. */
export function elementwiseShape(operation: string, a: Shape, b: Shape): Shape {
  for (const [large, small] of [
    [a, b],
    [b, a],
  ] as const) {
    if (sameShape(large, small) || small.length === 0 || (small.length === 1 && large.at(-1) === small[0])) return large;
  }
  throw new RlpaError('invalid-graph', `${operation}: shapes [${a}] and [${b}] do not fit.`, { operation, a, b });
}

/** The gradient of an operand that was broadcast: summed over what it was repeated along. */
export function reduceTo(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  if (shape.length === 0) return sum(gradient);
  const columns = shape[0]!;
  return sumRows(reshape(gradient, [sizeOf(gradient.shape) / columns, columns]));
}
