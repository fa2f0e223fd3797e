import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank } from '../shape';
import { scatterAdd } from './scatter-add';

/** Picks rows: table [V, d], rows [M] i32 → [M, d] of the table's type. The embedding of token ids, and the choice of the positions that are trained on. */
export function gather(table: Tensor, rows: Tensor): Tensor {
  expectRank('gather', 'table', table.shape, 2);
  expectRank('gather', 'rows', rows.shape, 1);
  return table.graph.apply('gather', [table, rows], {}, [{ shape: [rows.shape[0]!, table.shape[1]!], type: table.type }])[0]!;
}

export const gatherRule: GradientRule = ({ inputs: [table, rows] }, [g]) => [scatterAdd(g!, rows!, table!.shape[0]!), undefined];
