import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { elementwiseShape, reduceTo } from './broadcasting';
import { greaterOrEqual } from './greater-or-equal';
import { multiply } from './multiply';
import { subtract } from './subtract';

/** min(a, b). Scalars and rows broadcast. */
export function minimum(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply('minimum', [a, b], {}, [{ shape: elementwiseShape('minimum', a.shape, b.shape) }])[0]!;
}

export const minimumRule: GradientRule = ({ inputs: [a, b] }, [g]) => {
  const chosen = greaterOrEqual(b!, a!);
  return [reduceTo(multiply(g!, chosen), a!.shape), reduceTo(subtract(g!, multiply(g!, chosen)), b!.shape)];
};
