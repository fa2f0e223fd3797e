import { type MatmulShape, narrowRows, type Tile, tiles } from './matmul';

/** A choice that is reasonable on any GPU: rows of a decoding step take the narrow kernel, small results small tiles. */
export function tileOf({ rows, columns, transposeA, transposeB, rowSums }: MatmulShape): Tile | 'narrow' {
  if (rows <= narrowRows && !transposeA && transposeB && rowSums === undefined) return 'narrow';
  return rows <= 32 || columns <= 32 ? tiles[2]! : tiles[0]!;
}
