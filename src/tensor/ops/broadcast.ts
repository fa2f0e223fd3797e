import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import type { Shape } from '../shape';
import { elementwiseShape, reduceTo } from './broadcasting';

/** Repeats a scalar, or a row [d], to fill `shape`. */
export function broadcast(x: Tensor, shape: Shape): Tensor {
  elementwiseShape('broadcast', shape, x.shape);
  return x.graph.apply('broadcast', [x], {}, [{ shape }])[0]!;
}

export const broadcastRule: GradientRule = ({ inputs: [x] }, [g]) => [reduceTo(g!, x!.shape)];
