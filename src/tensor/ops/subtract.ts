import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { elementwiseShape, reduceTo } from './broadcasting';
import { scale } from './scale';

/** a − b. Scalars and rows broadcast. */
export function subtract(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply('subtract', [a, b], {}, [{ shape: elementwiseShape('subtract', a.shape, b.shape) }])[0]!;
}

export const subtractRule: GradientRule = ({ inputs: [a, b] }, [g]) => [reduceTo(g!, a!.shape), reduceTo(scale(g!, -1), b!.shape)];
