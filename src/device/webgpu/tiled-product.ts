import { accumulation, type Kernel, type KernelBuffer, type KernelCall, reads, writes } from '../kernels/index';
import { type Factor, fetch, places, registers } from './factor';
import { halfFunctions, halfUniforms, scalesOf } from './half';
import type { MatmulShape } from './matmul';

/** How a product by tiles computes with what is in shared memory: statements, which find `row0` and `column0`, where the tile begins. */
export interface TiledProduct {
  /** The method, after the tile's size. */
  readonly name: string;
  readonly tile: { readonly rows: number; readonly columns: number };
  readonly factors: { readonly a: Factor; readonly b: Factor };
  /** Factors are in half precision. */
  readonly half: boolean;
  /** Four neighbours of y are written at once: rows begin at multiples of four. */
  readonly wide: boolean;
  readonly directives?: readonly string[];
  readonly shared: NonNullable<Kernel['shared']>;
  /** Where the thread is, and what it gathers in. */
  readonly begin: string;
  /** Puts what the thread brings of a factor into shared memory. */
  readonly toShared: (factor: Factor) => string;
  /** Computes with a piece of both factors. */
  readonly compute: string;
  /** Where `tile_a` holds step `k` of row `lane`. */
  readonly rowPlace: string;
  /** Writes y, each number or vector as `result` says: a sum, its column in bias, its place in y. */
  readonly write: (result: (sum: string, column: string, place: string) => string) => string;
}

/** A product by tiles: a workgroup goes along K, computing with one piece of both factors in shared memory while the next is on its way. */
export function tiledProduct(shape: MatmulShape, product: TiledProduct): KernelCall {
  const { rows, columns, inner, transposeA, transposeB, bias = false, accumulate = '', rowSums } = shape;
  const { name, tile, factors, half, wide, directives, shared, begin, toShared, compute, rowPlace, write } = product;
  const { a, b } = factors;
  if (rowSums !== undefined && a.threads < tile.rows) throw new TypeError('Row sums need a thread a row.');
  const { scales, alpha } = half ? scalesOf(shape) : { scales: [], alpha: shape.alpha ?? 1 };
  const { buffers, term } = accumulation(accumulate);
  const factor = half || alpha !== 1 ? 'p.alpha * ' : '';
  const result = (sum: string, column: string, place: string) => `${factor}${sum}${bias ? ` + bias[${column}]` : ''}${term(place)}`;
  const sums = rowSumsOf(rowSums, a, rowPlace, half);
  const type = (isWide: boolean) => (isWide ? 'vec4f' : 'f32');
  const across = Math.ceil(columns / tile.columns);
  return {
    kernel: {
      name: `matmul ${tile.rows}x${tile.columns} by ${name}${transposeA ? ' aᵀ' : ''}${transposeB ? ' bᵀ' : ''}`,
      threads: a.threads,
      portable: false,
      directives,
      ...(half && { functions: halfFunctions }),
      buffers: [
        ...reads(type(a.wide), 'a'),
        ...reads(type(b.wide), 'b'),
        ...(bias ? reads(type(wide), 'bias') : []),
        ...buffers.map((buffer): KernelBuffer => ({ ...buffer, type: type(wide) })),
        ...writes(type(wide), 'y'),
        ...(rowSums === undefined ? [] : writes('f32', 'row_sums')),
      ],
      uniforms: [
        { name: 'rows', type: 'u32' },
        { name: 'columns', type: 'u32' },
        { name: 'inner', type: 'u32' },
        { name: 'across', type: 'u32' },
        { name: 'alpha', type: 'f32' },
        ...(half ? halfUniforms : []),
      ],
      shared,
      body: `  let row0 = group / p.across * ${tile.rows}u;
  let column0 = group % p.across * ${tile.columns}u;
${begin}
${sums.begin}
${places(a)}
${places(b)}
${registers(a)}
${registers(b)}
  var k0 = 0u;
${fetch(a)}
${fetch(b)}
  loop {
${toShared(a)}
${toShared(b)}
    workgroupBarrier();
    k0 += ${a.depth}u;
    if (k0 < p.inner) {
${fetch(a)}
${fetch(b)}
    }
${compute}
${sums.compute}
    if (k0 >= p.inner) { break; }
    workgroupBarrier();
  }
${write(result)}
${sums.write}`,
    },
    uniforms: [rows, columns, inner, across, alpha, ...scales],
    groups: Math.ceil(rows / tile.rows) * across,
  };
}

/** The sums of the rows of a, by the threads of the first column of tiles. */
function rowSumsOf(rowSums: MatmulShape['rowSums'], { span, depth }: Factor, place: string, half: boolean) {
  if (rowSums === undefined) return { begin: '', compute: '', write: '' };
  const sum = `row_sum${half ? ' / p.scale_a' : ''}${rowSums === '' ? '' : ' + row_sums[row0 + lane]'}`;
  return {
    begin: '  var row_sum = 0.0f;',
    compute: `    if (column0 == 0u && lane < ${span}u) { for (var k = 0u; k < ${depth}u; k++) { row_sum += f32(tile_a${place}); } }`,
    write: `  if (column0 == 0u && lane < ${span}u && row0 + lane < p.rows) { row_sums[row0 + lane] = ${sum}; }`,
  };
}
