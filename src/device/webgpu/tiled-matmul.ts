import type { KernelCall } from '../kernels/index';
import { type Factor, factorsOf, store } from './factor';
import { toHalf } from './half';
import type { MatmulShape } from './matmul';
import { tiledProduct } from './tiled-product';

/** The part of y that a workgroup computes, and the part of it that a thread holds in registers: multiples of 4. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly threadRows: number;
  readonly threadColumns: number;
  /** Factors are rounded to half precision in shared memory; sums stay single. */
  readonly half?: boolean;
}

export const tiles: readonly Tile[] = [
  { rows: 64, columns: 64, threadRows: 4, threadColumns: 4 },
  { rows: 128, columns: 64, threadRows: 8, threadColumns: 4 },
  { rows: 32, columns: 32, threadRows: 4, threadColumns: 4 },
  { rows: 64, columns: 64, threadRows: 8, threadColumns: 8 },
  { rows: 128, columns: 128, threadRows: 8, threadColumns: 8 },
];

export const threadsOf = ({ rows, columns, threadRows, threadColumns }: Tile) => (columns / threadColumns) * (rows / threadRows);

/** Steps of K that are in shared memory at a time. */
const depth = 16;

/**
 * The product by tiles: a workgroup brings `depth` columns of a and rows of b to shared memory while it still computes with the ones before,
 * and each thread gathers a small block of y in registers.
 */
export function tiledMatmul(shape: MatmulShape, tile: Tile): KernelCall {
  const { half = false } = tile;
  const across = tile.columns / tile.threadColumns;
  const factors = factorsOf(shape, { rows: tile.rows, columns: tile.columns, depth, threads: threadsOf(tile), alongSpan: true });
  const { a, b } = factors;
  const wide = shape.columns % 4 === 0;
  const parts = { rows: tile.threadRows / 4, columns: tile.threadColumns / 4 };
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const accumulators = range(tile.threadRows).flatMap((r) => range(parts.columns).map((c) => `acc${r}_${c}`));
  const held = (name: string, place: string) => (half ? `vec4f(${name}[${place}])` : `${name}[${place}]`);
  const products = [
    ...range(parts.rows).map(
      (i) => `      let a${i} = ${held('tile_a', `k * ${stride(a) / 4}u + ${(i * tile.rows) / parts.rows / 4}u + ty`)};`,
    ),
    ...range(parts.columns).map(
      (i) => `      let b${i} = ${held('tile_b', `k * ${stride(b) / 4}u + ${(i * tile.columns) / parts.columns / 4}u + tx`)};`,
    ),
    ...range(tile.threadRows).flatMap((r) =>
      range(parts.columns).map((c) => `      acc${r}_${c} += a${Math.floor(r / 4)}.${'xyzw'[r % 4]} * b${c};`),
    ),
  ].join('\n');
  const type = half ? 'vec4h' : 'vec4f';
  return tiledProduct(shape, {
    name: `${tile.threadRows}x${tile.threadColumns}${half ? ' f16' : ''}`,
    tile,
    factors,
    half,
    wide,
    ...(half && { directives: ['enable f16'] }),
    shared: [
      { name: 'tile_a', type, size: (depth * stride(a)) / 4 },
      { name: 'tile_b', type, size: (depth * stride(b)) / 4 },
    ],
    begin: `  let tx = lane % ${across}u;
  let ty = lane / ${across}u;
${accumulators.map((name) => `  var ${name} = vec4f();`).join('\n')}`,
    toShared: (factor) => toTile(factor, half),
    // a loop, not sixteen copies: drivers unroll it where that pays, and software adapters take seconds to compile the copies
    compute: `    for (var k = 0u; k < ${depth}u; k++) {
${products}
    }`,
    rowPlace: `[k * ${stride(a) / 4}u + lane / 4u][lane % 4u]`,
    write: (result) =>
      range(tile.threadRows)
        .flatMap((r) =>
          range(parts.columns).map((c) => {
            const row = `row0 + ${Math.floor(r / 4) * (tile.rows / parts.rows)}u + ty * 4u + ${r % 4}u`;
            const column = `column0 + ${c * (tile.columns / parts.columns)}u + tx * 4u`;
            const sum = `acc${r}_${c}`;
            const inside = 'if (r < p.rows && c < p.columns)';
            if (wide)
              return `  { let r = ${row}; let c = ${column}; ${inside} { let k = (r * p.columns + c) / 4u; y[k] = ${result(sum, 'c / 4u', 'k')}; } }`;
            const each = range(4).map(
              (i) =>
                `{ let c = ${column} + ${i}u; ${inside} { let k = r * p.columns + c; y[k] = ${result(`${sum}.${'xyzw'[i]}`, 'c', 'k')}; } }`,
            );
            return `  { let r = ${row}; ${each.join(' ')} }`;
          }),
        )
        .join('\n'),
  });
}

/** A row of shared memory, [depth][span], with room behind it so that columns do not fall on one bank when they are written. */
const stride = ({ span, alongInner }: Factor) => span + (alongInner ? 4 : 0);

/** Puts a factor's vectors into shared memory, where four neighbours of the span make a vector. */
function toTile(factor: Factor, half: boolean): string {
  const { name } = factor;
  const write = (v: string, s: string, k: string) => `tile_${name}[${k} * ${stride(factor) / 4}u + ${s} / 4u] = ${v};`;
  return store(factor, write, half ? toHalf(name) : undefined);
}
