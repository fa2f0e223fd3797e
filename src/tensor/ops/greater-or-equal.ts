import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { elementwiseShape } from './broadcasting';

/** 1 where a ≥ b, otherwise 0. Piecewise constant: no gradient flows. */
export function greaterOrEqual(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply('greaterOrEqual', [a, b], {}, [{ shape: elementwiseShape('greaterOrEqual', a.shape, b.shape) }])[0]!;
}

export const greaterOrEqualRule: GradientRule = () => [undefined, undefined];
