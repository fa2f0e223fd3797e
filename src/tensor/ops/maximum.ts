import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { elementwiseShape, reduceTo } from './broadcasting';
import { greaterOrEqual } from './greater-or-equal';
import { multiply } from './multiply';
import { subtract } from './subtract';

/** max(a, b). Scalars and rows broadcast. */
export function maximum(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply('maximum', [a, b], {}, [{ shape: elementwiseShape('maximum', a.shape, b.shape) }])[0]!;
}

export const maximumRule: GradientRule = ({ inputs: [a, b] }, [g]) => {
  const chosen = greaterOrEqual(a!, b!);
  return [reduceTo(multiply(g!, chosen), a!.shape), reduceTo(subtract(g!, multiply(g!, chosen)), b!.shape)];
};
