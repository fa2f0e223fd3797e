import { accumulation, type KernelCall } from '../kernels/index';
import { alongK, type Factor, factorsOf, rowSumsOf, store } from './factor';
import { halfFunctions, halfUniforms, scalesOf, toHalf } from './half';
import type { MatmulShape } from './matmul';

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
  const { rows, columns, inner, transposeA, transposeB, bias = false, accumulate = '', rowSums } = shape;
  const { unit } = tile;
  const threads = matrixThreads(tile);
  if (rowSums !== undefined && threads < tile.rows) throw new TypeError('Row sums need a thread a row.');
  const factors = factorsOf(shape, { rows: tile.rows, columns: tile.columns, depth, threads, alongSpan: false });
  const { a, b } = factors;
  const { scales, alpha } = scalesOf(shape);
  const across = tile.columns / tile.subgroupColumns;
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const down = range(tile.subgroupRows / unit.rows);
  const right = range(tile.subgroupColumns / unit.columns);
  const load = (factor: Factor, kind: string, s: string, k: string) => {
    // along K, a row of memory is a row of a or a column of b
    const order = factor.alongInner === (factor.name === 'a') ? 'row_major' : 'col_major';
    return `subgroupMatrixLoad<${kind}, ${order}>(&tile_${factor.name}, ${placeOf(factor, s, k)}, ${stride(factor)}u)`;
  };
  const left = `subgroup_matrix_left<f16, ${unit.inner}, ${unit.rows}>`;
  const rightKind = `subgroup_matrix_right<f16, ${unit.columns}, ${unit.inner}>`;
  const products = [
    ...down.map((i) => `      let a${i} = ${load(a, left, `(own_row + ${i * unit.rows}u)`, 'k')};`),
    ...right.map((j) => {
      const matrix = load(b, rightKind, `(own_column + ${j * unit.columns}u)`, 'k');
      return `      { let b0 = ${matrix}; ${down.map((i) => `acc${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b0, acc${i}_${j});`).join(' ')} }`;
    }),
  ].join('\n');
  const { buffers, term } = accumulation(accumulate);
  const cells = unit.rows * unit.columns;
  // matrices are written by way of shared memory, since what is added to them and where y ends is known by number only
  const writes = down.flatMap((i) =>
    right.map(
      (j) => `  subgroupMatrixStore<row_major>(&result, subgroup * ${cells}u, acc${i}_${j}, ${unit.columns}u);
  workgroupBarrier();
  for (var cell = lane % ${unit.lanes}u; cell < ${cells}u; cell += ${unit.lanes}u) {
    let r = row0 + own_row + ${i * unit.rows}u + cell / ${unit.columns}u;
    let c = column0 + own_column + ${j * unit.columns}u + cell % ${unit.columns}u;
    if (r < p.rows && c < p.columns) {
      let k = r * p.columns + c;
      y[k] = p.alpha * result[subgroup * ${cells}u + cell]${bias ? ' + bias[c]' : ''}${term('k')};
    }
  }
  workgroupBarrier();`,
    ),
  );
  const sums = rowSumsOf(shape, a, `[${placeOf(a, 'lane', 'k')}]`, 'p.scale_a');
  const type = (wide: boolean) => (wide ? 'vec4f' : 'f32');
  return {
    kernel: {
      name: `matmul ${tile.rows}x${tile.columns} by ${unit.rows}x${unit.columns}x${unit.inner} matrices${transposeA ? ' aᵀ' : ''}${transposeB ? ' bᵀ' : ''}`,
      threads,
      portable: false,
      extensions: ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
      functions: halfFunctions,
      buffers: [
        { name: 'a', type: type(a.wide), access: 'read' },
        { name: 'b', type: type(b.wide), access: 'read' },
        ...(bias ? [{ name: 'bias', type: 'f32', access: 'read' } as const] : []),
        ...buffers,
        { name: 'y', type: 'f32', access: 'write' },
        ...(rowSums === undefined ? [] : [{ name: 'row_sums', type: 'f32', access: 'write' } as const]),
      ],
      uniforms: [
        { name: 'rows', type: 'u32' },
        { name: 'columns', type: 'u32' },
        { name: 'inner', type: 'u32' },
        { name: 'across', type: 'u32' },
        { name: 'alpha', type: 'f32' },
        ...halfUniforms,
      ],
      shared: [
        { name: 'tile_a', type: 'f16', size: sharedSize(a) },
        { name: 'tile_b', type: 'f16', size: sharedSize(b) },
        { name: 'result', type: 'f32', size: (threads / unit.lanes) * cells },
      ],
      body: `  let row0 = group / p.across * ${tile.rows}u;
  let column0 = group % p.across * ${tile.columns}u;
  let subgroup = lane / ${unit.lanes}u;
  let own_row = subgroup / ${across}u * ${tile.subgroupRows}u;
  let own_column = subgroup % ${across}u * ${tile.subgroupColumns}u;
${sums.before}
${down.flatMap((i) => right.map((j) => `  var acc${i}_${j} = subgroup_matrix_result<f32, ${unit.columns}, ${unit.rows}>();`)).join('\n')}
${alongK(
  factors,
  toTile,
  `    for (var k = 0u; k < ${depth}u; k += ${unit.inner}u) {
${products}
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
