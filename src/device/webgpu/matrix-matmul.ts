import type { KernelCall } from '../kernels/index';
import { type Factor, factorsOf, store } from './factor';
import { toHalf } from './half';
import type { MatmulShape } from './matmul';
import { tiledProduct } from './tiled-product';

/** The product that a subgroup computes by one instruction: [rows, inner]·[inner, columns], factors in half precision, sums in single. */
export interface MatrixUnit {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  /** Threads of a subgroup. */
  readonly lanes: number;
}

/** The part of y that a workgroup computes, and the part of it that a subgroup holds as matrices. */
export interface MatrixTile {
  readonly rows: number;
  readonly columns: number;
  readonly subgroupRows: number;
  readonly subgroupColumns: number;
  readonly unit: MatrixUnit;
}

/** Tiles that can be made of a unit. */
export function matrixTiles(unit: MatrixUnit): readonly MatrixTile[] {
  const sizes = [
    { rows: 64, columns: 64, subgroupRows: 32, subgroupColumns: 32 },
    { rows: 32, columns: 32, subgroupRows: 16, subgroupColumns: 16 },
    { rows: 128, columns: 64, subgroupRows: 32, subgroupColumns: 32 },
    { rows: 128, columns: 128, subgroupRows: 64, subgroupColumns: 32 },
  ];
  return sizes
    .filter(({ subgroupRows, subgroupColumns }) => subgroupRows % unit.rows === 0 && subgroupColumns % unit.columns === 0)
    .filter(() => depth % unit.inner === 0)
    .map((size) => ({ ...size, unit }));
}

export const matrixThreads = ({ rows, columns, subgroupRows, subgroupColumns, unit }: MatrixTile) =>
  (rows / subgroupRows) * (columns / subgroupColumns) * unit.lanes;

/** Steps of K that are in shared memory at a time. */
const depth = 32;
/** Numbers behind each row of shared memory, so that rows do not fall on the same banks; matrices are read from multiples of 16 bytes. */
const padding = 8;

/**
 * The product by subgroup matrices (tensor cores): a workgroup brings `depth` columns of a and rows of b to shared memory in half precision,
 * each as it lies in memory, while it still computes with the ones before; each subgroup gathers its part of y in matrices of single precision.
 */
export function matrixMatmul(shape: MatmulShape, tile: MatrixTile): KernelCall {
  const { unit } = tile;
  const threads = matrixThreads(tile);
  const factors = factorsOf(shape, { rows: tile.rows, columns: tile.columns, depth, threads, alongSpan: false });
  const { a, b } = factors;
  const across = tile.columns / tile.subgroupColumns;
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const down = range(tile.subgroupRows / unit.rows);
  const right = range(tile.subgroupColumns / unit.columns);
  const kinds = {
    a: `subgroup_matrix_left<f16, ${unit.inner}, ${unit.rows}>`,
    b: `subgroup_matrix_right<f16, ${unit.columns}, ${unit.inner}>`,
  };
  const load = (factor: Factor, s: string) => {
    // along K, a row of memory is a row of a or a column of b
    const order = factor.alongInner === (factor.name === 'a') ? 'row_major' : 'col_major';
    return `subgroupMatrixLoad<${kinds[factor.name]}, ${order}>(&tile_${factor.name}, ${placeOf(factor, s, 'k')}, ${stride(factor)}u)`;
  };
  const products = [
    ...down.map((i) => `      let a${i} = ${load(a, `(own_row + ${i * unit.rows}u)`)};`),
    ...right.map((j) => {
      const sums = down.map((i) => `acc${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b0, acc${i}_${j});`);
      return `      { let b0 = ${load(b, `(own_column + ${j * unit.columns}u)`)}; ${sums.join(' ')} }`;
    }),
  ].join('\n');
  const cells = unit.rows * unit.columns;
  return tiledProduct(shape, {
    name: `${unit.rows}x${unit.columns}x${unit.inner} matrices`,
    tile,
    factors,
    half: true,
    wide: false,
    directives: [
      'enable f16',
      'enable subgroups',
      'enable chromium_experimental_subgroup_matrix',
      // places of matrices depend on the thread's number, and are the same for a subgroup: more than a compiler can tell
      'diagnostic(off, chromium.subgroup_matrix_uniformity)',
    ],
    shared: [
      { name: 'tile_a', type: 'f16', size: sharedSize(a) },
      { name: 'tile_b', type: 'f16', size: sharedSize(b) },
      { name: 'results', type: 'f32', size: (threads / unit.lanes) * cells },
    ],
    begin: `  let subgroup = lane / ${unit.lanes}u;
  let own_row = subgroup / ${across}u * ${tile.subgroupRows}u;
  let own_column = subgroup % ${across}u * ${tile.subgroupColumns}u;
${down.flatMap((i) => right.map((j) => `  var acc${i}_${j} = subgroup_matrix_result<f32, ${unit.columns}, ${unit.rows}>();`)).join('\n')}`,
    toShared: toTile,
    compute: `    for (var k = 0u; k < ${depth}u; k += ${unit.inner}u) {
${products}
    }`,
    rowPlace: `[${placeOf(a, 'lane', 'k')}]`,
    // by way of shared memory, since what is added to y, and where it ends, is known by number only
    write: (result) =>
      down
        .flatMap((i) =>
          right.map(
            (j) => `  subgroupMatrixStore<row_major>(&results, subgroup * ${cells}u, acc${i}_${j}, ${unit.columns}u);
  workgroupBarrier();
  for (var cell = lane % ${unit.lanes}u; cell < ${cells}u; cell += ${unit.lanes}u) {
    let r = row0 + own_row + ${i * unit.rows}u + cell / ${unit.columns}u;
    let c = column0 + own_column + ${j * unit.columns}u + cell % ${unit.columns}u;
    if (r < p.rows && c < p.columns) { let k = r * p.columns + c; y[k] = ${result(`results[subgroup * ${cells}u + cell]`, 'c', 'k')}; }
  }
  workgroupBarrier();`,
          ),
        )
        .join('\n'),
  });
}

const stride = ({ span, alongInner }: Factor) => (alongInner ? depth : span) + padding;
const sharedSize = (factor: Factor) => stride(factor) * (factor.alongInner ? factor.span : depth);
const placeOf = (factor: Factor, s: string, k: string) =>
  factor.alongInner ? `${s} * ${stride(factor)}u + ${k}` : `${k} * ${stride(factor)}u + ${s}`;

/** Puts a factor's vectors into shared memory as they lie in memory: `[span][depth]` along K, `[depth][span]` otherwise. */
function toTile(factor: Factor): string {
  const write = (v: string, s: string, k: string) =>
    `let at = ${placeOf(factor, s, k)}; ${[0, 1, 2, 3].map((j) => `tile_${factor.name}[at + ${j}u] = ${v}.${'xyzw'[j]};`).join(' ')}`;
  return store(factor, write, toHalf(factor.name));
}
