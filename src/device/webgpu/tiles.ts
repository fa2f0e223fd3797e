import type { MatmulPrecision } from '../device';
import type { MatmulShape, Method } from './matmul';
import { type MatrixUnit, matrixThreads, matrixTiles } from './matrix-matmul';
import { narrowRows } from './narrow-matmul';
import { type Tile, threadsOf, tiles } from './tiled-matmul';

export type MethodOf = (shape: MatmulShape) => Method;

/** How a device computes products. */
export interface Arithmetic {
  readonly precision: MatmulPrecision;
  /** For half precision, where the device has matrices for it. */
  readonly unit?: MatrixUnit;
}

export const single: Arithmetic = { precision: 'f32' };

/** Everything that a product may be computed by. The narrow kernel is limited by reading the matrix, not by its arithmetic. */
export function methodsOf({ precision, unit }: Arithmetic): readonly Method[] {
  if (precision === 'f32') return [...tiles, 'narrow'];
  return [...(unit ? matrixTiles(unit) : []), ...tiles.map((tile): Tile => ({ ...tile, half: true })), 'narrow'];
}

/** A choice that is reasonable on any GPU: rows of a decoding step take the narrow kernel, small results small tiles. */
export function usualMethod(methods: readonly Method[]): MethodOf {
  return (shape) => {
    if (allows(shape, 'narrow')) return 'narrow';
    const side = shape.rows <= 32 || shape.columns <= 32 ? 32 : 64;
    return methods.find((method) => method !== 'narrow' && method.rows === side && method.columns === side && allows(shape, method))!;
  };
}

export function nameOf(method: Method): string {
  if (method === 'narrow') return method;
  const { rows, columns } = method;
  if ('unit' in method) return `${rows}x${columns} by ${method.unit.rows}x${method.unit.columns}x${method.unit.inner} matrices`;
  return `${rows}x${columns} by ${method.threadRows}x${method.threadColumns}${method.half ? ' f16' : ''}`;
}

export function allows({ rows, transposeA, transposeB, rowSums }: MatmulShape, method: Method): boolean {
  if (method === 'narrow') return rows <= narrowRows && !transposeA && transposeB && rowSums === undefined;
  // sums of rows take a thread a row
  return rowSums === undefined || ('unit' in method ? matrixThreads(method) : threadsOf(method)) >= method.rows;
}

/** Of products that are computed alike: sizes within a factor of two, and the same transposes. */
function sizesOf({ rows, columns, inner, transposeA, transposeB, rowSums }: MatmulShape): string {
  const size = (count: number) => 2 ** Math.ceil(Math.log2(count));
  const sums = rowSums === undefined ? '' : ' with row sums';
  return `${size(rows)}x${size(columns)}x${size(inner)} ${transposeA ? 'aᵀ' : 'a'}·${transposeB ? 'bᵀ' : 'b'}${sums}`;
}

/** By class, the name of the method that was fastest. */
export type Tuning = Readonly<Record<string, string>>;

/** What was measured for a class, and what was chosen. */
export interface TileChoice {
  readonly products: string;
  readonly tile: string;
  /** Of one dispatch in a real step, by tile. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

/** Chooses how products are computed: by measurement, where there is one. */
export class Tuner {
  readonly choices: TileChoice[] = [];
  readonly methods: readonly Method[];
  readonly #arithmetic: Arithmetic;
  readonly #usual: MethodOf;
  #known: Record<string, string>;

  constructor(arithmetic: Arithmetic, known: Tuning = {}) {
    this.#arithmetic = arithmetic;
    this.methods = methodsOf(arithmetic);
    this.#usual = usualMethod(this.methods);
    this.#known = { ...known };
  }

  get tuning(): Tuning {
    return this.#known;
  }

  /** What a choice is made for: products of these sizes, with this arithmetic. */
  classOf(shape: MatmulShape): string {
    const { precision, unit } = this.#arithmetic;
    if (precision === 'f32') return sizesOf(shape);
    return `${sizesOf(shape)} in f16${unit ? ` by ${unit.rows}x${unit.columns}x${unit.inner}` : ''}`;
  }

  isKnown(shape: MatmulShape): boolean {
    return this.classOf(shape) in this.#known;
  }

  /** The measured choice, or else one that is reasonable on any GPU. */
  readonly methodOf: MethodOf = (shape) => {
    const known = this.methods.find((method) => nameOf(method) === this.#known[this.classOf(shape)]);
    return known && allows(shape, known) ? known : this.#usual(shape);
  };

  /** @param measured milliseconds by class and method */
  settle(measured: ReadonlyMap<string, ReadonlyMap<string, number>>): void {
    for (const [products, times] of measured) {
      const [tile] = [...times].reduce((best, next) => (next[1] < best[1] ? next : best));
      this.#known[products] = tile;
      this.choices.push({ products, tile, milliseconds: Object.fromEntries(times) });
    }
  }
}
