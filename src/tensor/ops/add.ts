import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { elementwiseShape, reduceTo } from './broadcasting';

/** a + b. Scalars and rows broadcast. */
export function add(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply('add', [a, b], {}, [{ shape: elementwiseShape('add', a.shape, b.shape) }])[0]!;
}

export const addRule: GradientRule = ({ inputs: [a, b] }, [g]) => [reduceTo(g!, a!.shape), reduceTo(g!, b!.shape)];
