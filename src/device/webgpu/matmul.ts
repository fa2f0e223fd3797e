import type { Accumulate, KernelCall } from '../kernels/index';
import { type MatrixTile, matrixMatmul } from './matrix-matmul';
import { narrowMatmul } from './narrow-matmul';
import { type Tile, tiledMatmul } from './tiled-matmul';

/** y [M, N] = alpha · op(a) · op(b) + bias [N] + what `accumulate` says, with op(a) [M, K] and op(b) [K, N]. */
export interface MatmulShape {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly bias?: boolean;
  readonly accumulate?: Accumulate;
  readonly alpha?: number;
  /** Also the sums of op(a) along K [M], added to what is there or not: the gradient of a bias comes with that of its weight. */
  readonly rowSums?: '' | ' + itself';
  /** The factor that is a gradient, if one is: its numbers are much smaller than those of weights and activations. */
  readonly gradient?: 'a' | 'b';
}

/** By what a product is computed. */
export type Method = Tile | MatrixTile | 'narrow';

export function matmulBy(method: Method, shape: MatmulShape): KernelCall {
  if (method === 'narrow') return narrowMatmul(shape);
  return 'unit' in method ? matrixMatmul(shape, method) : tiledMatmul(shape, method);
}
