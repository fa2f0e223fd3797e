import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';

/** x · factor, the factor known when the graph is built. */
export function scale(x: Tensor, factor: number): Tensor {
  return x.graph.apply('scale', [x], { factor }, [{ shape: x.shape }])[0]!;
}

export const scaleRule: GradientRule = ({ attributes }, [g]) => [scale(g!, attributes.factor as number)];
