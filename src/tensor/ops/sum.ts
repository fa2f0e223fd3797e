import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { broadcast } from './broadcast';

/** The sum of all elements, a scalar. */
export function sum(x: Tensor): Tensor {
  return x.graph.apply('sum', [x], {}, [{ shape: [] }])[0]!;
}

export const sumRule: GradientRule = ({ inputs: [x] }, [g]) => [broadcast(g!, x!.shape)];
