import { type Accumulate, accumulation, type KernelBuffer, type KernelCall } from '../kernels/index';
import { alongK, type Factor, factorsOf, rowSumsOf, store } from './factor';
import { halfFunctions, halfUniforms, scalesOf, toHalf } from './half';
import type { MatmulShape } from './matmul';

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
  const { rows, columns, inner, transposeA, transposeB, bias = false, accumulate = '', rowSums } = shape;
  const { half = false } = tile;
  const across = tile.columns / tile.threadColumns;
  const threads = threadsOf(tile);
  const factors = factorsOf(shape, { rows: tile.rows, columns: tile.columns, depth, threads, alongSpan: true });
  const { a, b } = factors;
  // four neighbours at once, where rows begin at multiples of four
  const wideY = columns % 4 === 0;
  const { scales, alpha } = half ? scalesOf(shape) : { scales: [], alpha: shape.alpha ?? 1 };
  const scaled = half || alpha !== 1;
  const parts = { rows: tile.threadRows / 4, columns: tile.threadColumns / 4 };
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const accumulators = range(tile.threadRows).flatMap((r) => range(parts.columns).map((c) => `acc${r}_${c}`));
  const held = (name: string, place: string) => (half ? `vec4f(${name}[${place}])` : `${name}[${place}]`);
  // a loop, not sixteen copies: drivers unroll it where that pays, and software adapters take seconds to compile the copies
  const product = [
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
  const { buffers, term } = wideAccumulation(accumulate, wideY);
  const writes = range(tile.threadRows).flatMap((r) =>
    range(parts.columns).map((c) => {
      const row = `row0 + ${Math.floor(r / 4) * (tile.rows / parts.rows)}u + ty * 4u + ${r % 4}u`;
      const column = `column0 + ${c * (tile.columns / parts.columns)}u + tx * 4u`;
      const value = scaled ? `p.alpha * acc${r}_${c}` : `acc${r}_${c}`;
      if (wideY) {
        return `  { let r = ${row}; let c = ${column}; if (r < p.rows && c < p.columns) { let k = (r * p.columns + c) / 4u; y[k] = ${value}${bias ? ' + bias[c / 4u]' : ''}${term('k')}; } }`;
      }
      return `  { let r = ${row}; let v = ${value}; ${range(4)
        .map(
          (i) =>
            `{ let c = ${column} + ${i}u; if (r < p.rows && c < p.columns) { let k = r * p.columns + c; y[k] = v.${'xyzw'[i]}${bias ? ' + bias[c]' : ''}${term('k')}; } }`,
        )
        .join(' ')} }`;
    }),
  );
  const sums = rowSumsOf(shape, a, `[k * ${stride(a) / 4}u + lane / 4u][lane % 4u]`, half ? 'p.scale_a' : undefined);
  if (rowSums !== undefined && threads < tile.rows) throw new TypeError('Row sums need a thread a row.');
  const type = (wide: boolean) => (wide ? 'vec4f' : 'f32');
  const shared = half ? 'vec4h' : 'vec4f';
  return {
    kernel: {
      name: `matmul ${tile.rows}x${tile.columns} by ${tile.threadRows}x${tile.threadColumns}${half ? ' f16' : ''}${transposeA ? ' aᵀ' : ''}${transposeB ? ' bᵀ' : ''}`,
      threads,
      portable: false,
      ...(half && { extensions: ['f16'], functions: halfFunctions }),
      buffers: [
        { name: 'a', type: type(a.wide), access: 'read' },
        { name: 'b', type: type(b.wide), access: 'read' },
        ...(bias ? [{ name: 'bias', type: type(wideY), access: 'read' } as const] : []),
        ...buffers,
        { name: 'y', type: type(wideY), access: 'write' },
        ...(rowSums === undefined ? [] : [{ name: 'row_sums', type: 'f32', access: 'write' } as const]),
      ],
      uniforms: [
        { name: 'rows', type: 'u32' },
        { name: 'columns', type: 'u32' },
        { name: 'inner', type: 'u32' },
        { name: 'across', type: 'u32' },
        { name: 'alpha', type: 'f32' },
        ...(half ? halfUniforms : []),
      ],
      shared: [
        { name: 'tile_a', type: shared, size: (depth * stride(a)) / 4 },
        { name: 'tile_b', type: shared, size: (depth * stride(b)) / 4 },
      ],
      body: `  let row0 = group / p.across * ${tile.rows}u;
  let column0 = group % p.across * ${tile.columns}u;
  let tx = lane % ${across}u;
  let ty = lane / ${across}u;
${sums.before}
${accumulators.map((name) => `  var ${name} = vec4f();`).join('\n')}
${alongK(
  factors,
  (factor) => toTile(factor, half),
  `    for (var k = 0u; k < ${depth}u; k++) {
${product}
    }
${sums.body}`,
)}
${writes.join('\n')}
${sums.behind}`,
    },
    uniforms: [rows, columns, inner, Math.ceil(columns / tile.columns), alpha, ...scales],
    groups: Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns),
  };
}

/** A row of shared memory, [depth][span], with room behind it so that columns do not fall on one bank when they are written. */
const stride = ({ span, alongInner }: Factor) => span + (alongInner ? 4 : 0);

/** Puts a factor's vectors into shared memory, where four neighbours of the span make a vector. */
function toTile(factor: Factor, half: boolean): string {
  const { name } = factor;
  const write = (v: string, s: string, k: string) => `tile_${name}[${k} * ${stride(factor) / 4}u + ${s} / 4u] = ${v};`;
  return store(factor, write, half ? toHalf(name) : undefined);
}

function wideAccumulation(accumulate: Accumulate, wide: boolean): ReturnType<typeof accumulation> {
  const { buffers, term } = accumulation(accumulate);
  return { term, buffers: buffers.map((buffer): KernelBuffer => ({ ...buffer, type: wide ? 'vec4f' : 'f32' })) };
}
