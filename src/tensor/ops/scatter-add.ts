import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank, expectShape } from '../shape';
import { gather } from './gather';

/** Adds row m of values [M, d] to row rows[m] of a zero matrix: → [height, d]. Rows may repeat. */
export function scatterAdd(values: Tensor, rows: Tensor, height: number): Tensor {
  expectRank('scatterAdd', 'values', values.shape, 2);
  expectShape('scatterAdd', 'rows', rows.shape, [values.shape[0]!]);
  return values.graph.apply('scatterAdd', [values, rows], { height }, [{ shape: [height, values.shape[1]!] }])[0]!;
}

export const scatterAddRule: GradientRule = ({ inputs: [, rows] }, [g]) => [gather(g!, rows!), undefined];
