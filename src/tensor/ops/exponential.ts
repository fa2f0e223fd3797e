import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { multiply } from './multiply';

/** e^x. */
export function exponential(x: Tensor): Tensor {
  return x.graph.apply('exponential', [x], {}, [{ shape: x.shape }])[0]!;
}

export const exponentialRule: GradientRule = ({ outputs: [y] }, [g]) => [multiply(g!, y!)];
