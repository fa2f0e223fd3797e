import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank } from '../shape';
import { broadcast } from './broadcast';

/** Adds up the rows: x [N, d] → [d]. The gradient of a bias. */
export function sumRows(x: Tensor): Tensor {
  expectRank('sumRows', 'x', x.shape, 2);
  return x.graph.apply('sumRows', [x], {}, [{ shape: [x.shape[1]!] }])[0]!;
}

export const sumRowsRule: GradientRule = ({ inputs: [x] }, [g]) => [broadcast(g!, x!.shape)];
