import { type MatmulShape, narrowRows, type Tile, tiles } from './matmul';

export type TileOf = (shape: MatmulShape) => Tile | 'narrow';

/** A choice that is reasonable on any GPU: rows of a decoding step take the narrow kernel, small results small tiles. */
export const tileOf: TileOf = (shape) => {
  if (allows(shape, 'narrow')) return 'narrow';
  return shape.rows <= 32 || shape.columns <= 32 ? tiles[2]! : tiles[0]!;
};

/** Everything that a product may be computed by. */
export const candidates: readonly (Tile | 'narrow')[] = [...tiles, 'narrow'];

export function nameOf(tile: Tile | 'narrow'): string {
  return tile === 'narrow' ? tile : `${tile.rows}x${tile.columns} by ${tile.threadRows}x${tile.threadColumns}`;
}

export function allows({ rows, transposeA, transposeB, rowSums }: MatmulShape, tile: Tile | 'narrow'): boolean {
  if (tile === 'narrow') return rows <= narrowRows && !transposeA && transposeB && rowSums === undefined;
  // sums of rows take a thread a row
  return rowSums === undefined || (tile.rows / tile.threadRows) * (tile.columns / tile.threadColumns) >= tile.rows;
}

/** Products that are computed alike: sizes within a factor of two, and the same transposes. */
export function classOf({ rows, columns, inner, transposeA, transposeB, rowSums }: MatmulShape): string {
  const size = (count: number) => 2 ** Math.ceil(Math.log2(count));
  const sums = rowSums === undefined ? '' : ' with row sums';
  return `${size(rows)}x${size(columns)}x${size(inner)} ${transposeA ? 'aᵀ' : 'a'}·${transposeB ? 'bᵀ' : 'b'}${sums}`;
}

/** By class, the name of the tile that was fastest. */
export type Tuning = Readonly<Record<string, string>>;

/** What was measured for a class, and what was chosen. */
export interface TileChoice {
  readonly products: string;
  readonly tile: string;
  /** Of one dispatch in a real step, by tile. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

/** Tile choices by measurement, where there is one. */
export class Tuner {
  readonly choices: TileChoice[] = [];
  #known: Record<string, string>;

  constructor(known: Tuning = {}) {
    this.#known = { ...known };
  }

  get tuning(): Tuning {
    return this.#known;
  }

  isKnown(shape: MatmulShape): boolean {
    return classOf(shape) in this.#known;
  }

  /** The measured choice, or else `otherwise`'s. */
  tileOf(shape: MatmulShape, otherwise: TileOf): Tile | 'narrow' {
    const known = candidates.find((tile) => nameOf(tile) === this.#known[classOf(shape)]);
    return known && allows(shape, known) ? known : otherwise(shape);
  }

  /** @param measured milliseconds by class and tile */
  settle(measured: ReadonlyMap<string, ReadonlyMap<string, number>>): void {
    for (const [products, times] of measured) {
      const [tile] = [...times].reduce((best, next) => (next[1] < best[1] ? next : best));
      this.#known[products] = tile;
      this.choices.push({ products, tile, milliseconds: Object.fromEntries(times) });
    }
  }
}
