import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { elementwiseShape, reduceTo } from './broadcasting';

/** a · b. Scalars and rows broadcast. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return a.graph.apply('multiply', [a, b], {}, [{ shape: elementwiseShape('multiply', a.shape, b.shape) }])[0]!;
}

export const multiplyRule: GradientRule = ({ inputs: [a, b] }, [g]) => [
  reduceTo(multiply(g!, b!), a!.shape),
  reduceTo(multiply(g!, a!), b!.shape),
];
