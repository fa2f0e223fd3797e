import type { Accumulate, KernelBuffer, KernelCall } from '../kernels/index';
import { accumulation } from '../kernels/index';

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
}

/** The part of y that a workgroup computes, and the part of it that a thread holds in registers: multiples of 4. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly threadRows: number;
  readonly threadColumns: number;
}

export const tiles: readonly Tile[] = [
  { rows: 64, columns: 64, threadRows: 4, threadColumns: 4 },
  { rows: 128, columns: 64, threadRows: 8, threadColumns: 4 },
  { rows: 32, columns: 32, threadRows: 4, threadColumns: 4 },
  { rows: 64, columns: 64, threadRows: 8, threadColumns: 8 },
  { rows: 128, columns: 128, threadRows: 8, threadColumns: 8 },
];

/** Steps of K that are in shared memory at a time. */
const depth = 16;

/**
 * The product by tiles: a workgroup brings `depth` columns of a and rows of b to shared memory while it still computes with the ones before,
 * and each thread gathers a small block of y in registers.
 */
export function tiledMatmul(shape: MatmulShape, tile: Tile): KernelCall {
  const { rows, columns, inner, transposeA, transposeB, bias = false, accumulate = '', alpha = 1, rowSums } = shape;
  const across = tile.columns / tile.threadColumns;
  const threads = across * (tile.rows / tile.threadRows);
  // four neighbours at once, where rows begin at multiples of four
  const wideA = (transposeA ? rows : inner) % 4 === 0;
  const wideB = (transposeB ? inner : columns) % 4 === 0;
  const wideY = columns % 4 === 0;
  const a: Side = { name: 'a', span: tile.rows, limit: 'p.rows', alongInner: !transposeA, wide: wideA, threads };
  const b: Side = { name: 'b', span: tile.columns, limit: 'p.columns', alongInner: transposeB, wide: wideB, threads };
  const parts = { rows: tile.threadRows / 4, columns: tile.threadColumns / 4 };
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const accumulators = range(tile.threadRows).flatMap((r) => range(parts.columns).map((c) => `acc${r}_${c}`));
  // a loop, not sixteen copies: drivers unroll it where that pays, and software adapters take seconds to compile the copies
  const product = [
    ...range(parts.rows).map((i) => `      let a${i} = tile_a[k * ${stride(a) / 4}u + ${(i * tile.rows) / parts.rows / 4}u + ty];`),
    ...range(parts.columns).map(
      (i) => `      let b${i} = tile_b[k * ${stride(b) / 4}u + ${(i * tile.columns) / parts.columns / 4}u + tx];`,
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
      const value = alpha === 1 ? `acc${r}_${c}` : `p.alpha * acc${r}_${c}`;
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
  const sumLines =
    rowSums === undefined
      ? { declare: '', step: '', write: '' }
      : {
          declare: '  var row_sum = 0.0f;',
          step: `    if (column0 == 0u && lane < ${tile.rows}u) { for (var k = 0u; k < ${depth}u; k++) { row_sum += tile_a[k * ${stride(a) / 4}u + lane / 4u][lane % 4u]; } }`,
          write: `  if (column0 == 0u && lane < ${tile.rows}u && row0 + lane < p.rows) { row_sums[row0 + lane] = row_sum${rowSums === '' ? '' : ' + row_sums[row0 + lane]'}; }`,
        };
  if (rowSums !== undefined && threads < tile.rows) throw new TypeError('Row sums need a thread a row.');
  const type = (wide: boolean) => (wide ? 'vec4f' : 'f32');
  return {
    kernel: {
      name: `matmul ${tile.rows}x${tile.columns} by ${tile.threadRows}x${tile.threadColumns}${transposeA ? ' aᵀ' : ''}${transposeB ? ' bᵀ' : ''}`,
      threads,
      portable: false,
      buffers: [
        { name: 'a', type: type(wideA), access: 'read' },
        { name: 'b', type: type(wideB), access: 'read' },
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
      ],
      shared: [
        { name: 'tile_a', type: 'vec4f', size: (depth * stride(a)) / 4 },
        { name: 'tile_b', type: 'vec4f', size: (depth * stride(b)) / 4 },
      ],
      body: `  let row0 = group / p.across * ${tile.rows}u;
  let column0 = group % p.across * ${tile.columns}u;
  let tx = lane % ${across}u;
  let ty = lane / ${across}u;
${sumLines.declare}
${accumulators.map((name) => `  var ${name} = vec4f();`).join('\n')}
${places(a)}
${places(b)}
  var k0 = 0u;
${fetch(a, 'var ')}
${fetch(b, 'var ')}
  loop {
${store(a)}
${store(b)}
    workgroupBarrier();
    k0 += ${depth}u;
    if (k0 < p.inner) {
${fetch(a)}
${fetch(b)}
    }
    for (var k = 0u; k < ${depth}u; k++) {
${product}
    }
${sumLines.step}
    if (k0 >= p.inner) { break; }
    workgroupBarrier();
  }
${writes.join('\n')}
${sumLines.write}`,
    },
    uniforms: [rows, columns, inner, Math.ceil(columns / tile.columns), alpha],
    groups: Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns),
  };
}

/** One of the two factors, as it is brought to shared memory: [depth][span], four neighbours of the span in a vector. */
interface Side {
  readonly name: 'a' | 'b';
  readonly span: number;
  readonly limit: string;
  /** Rows of the span, each contiguous along K; otherwise rows of K, each contiguous along the span. */
  readonly alongInner: boolean;
  readonly wide: boolean;
  readonly threads: number;
}

/** A row of shared memory, with room behind it so that columns do not fall on one bank when they are written. */
const stride = ({ span, alongInner }: Side) => span + (alongInner ? 4 : 0);
/** Vectors of four that each thread brings. */
const loadsOf = ({ span, threads }: Side) => Math.ceil((span * depth) / 4 / threads);

/** Where each of a thread's vectors lies: its place in the span (`s`) and along K (`k`). */
function places(side: Side): string {
  return Array.from({ length: loadsOf(side) }, (_, i) => {
    const index = i === 0 ? 'lane' : `(lane + ${i * side.threads}u)`;
    const [s, k] = side.alongInner
      ? [`${index} / ${depth / 4}u`, `${index} % ${depth / 4}u * 4u`]
      : [`${index} % ${side.span / 4}u * 4u`, `${index} / ${side.span / 4}u`];
    return `  let ${side.name}_s${i} = ${s}; let ${side.name}_k${i} = ${k};`;
  }).join('\n');
}

function fetch(side: Side, declare = ''): string {
  const { name, limit, alongInner, wide } = side;
  const origin = name === 'a' ? 'row0' : 'column0';
  return Array.from({ length: loadsOf(side) }, (_, i) => {
    const s = `(${origin} + ${name}_s${i})`;
    const k = `(k0 + ${name}_k${i})`;
    const at = (j: number) => (alongInner ? `${s} * p.inner + ${k} + ${j}u` : `${k} * ${limit} + ${s} + ${j}u`);
    const inside = (j: number) => (alongInner ? `${s} < ${limit} && ${k} + ${j}u < p.inner` : `${k} < p.inner && ${s} + ${j}u < ${limit}`);
    const value = wide
      ? `select(vec4f(), ${name}[(${at(0)}) / 4u], ${inside(0)})`
      : `vec4f(${[0, 1, 2, 3].map((j) => `select(0.0f, ${name}[${at(j)}], ${inside(j)})`).join(', ')})`;
    return `      ${declare}${name}_v${i} = ${value};`;
  }).join('\n');
}

function store(side: Side): string {
  const { name, alongInner, span, threads } = side;
  const row = stride(side) / 4;
  return Array.from({ length: loadsOf(side) }, (_, i) => {
    const lines = alongInner
      ? [0, 1, 2, 3].map(
          (j) => `tile_${name}[(${name}_k${i} + ${j}u) * ${row}u + ${name}_s${i} / 4u][${name}_s${i} % 4u] = ${name}_v${i}.${'xyzw'[j]};`,
        )
      : [`tile_${name}[${name}_k${i} * ${row}u + ${name}_s${i} / 4u] = ${name}_v${i};`];
    const all = ((span * depth) / 4) % threads === 0 || i < loadsOf(side) - 1;
    return `    ${all ? '' : `if (lane + ${i * threads}u < ${(span * depth) / 4}u) `}{ ${lines.join(' ')} }`;
  }).join('\n');
}

function wideAccumulation(accumulate: Accumulate, wide: boolean): ReturnType<typeof accumulation> {
  const { buffers, term } = accumulation(accumulate);
  return { term, buffers: buffers.map((buffer): KernelBuffer => ({ ...buffer, type: wide ? 'vec4f' : 'f32' })) };
}

/** Most rows of {@link narrowMatmul}. */
export const narrowRows = 16;

/**
 * The product of few rows with a matrix given as [N, K], as in decoding: reads the matrix once, and is limited by that. Sixteen threads share
 * the K of four columns, each holding all rows of them.
 */
export function narrowMatmul(shape: MatmulShape): KernelCall {
  const { rows, columns, inner, bias = false, accumulate = '', alpha = 1 } = shape;
  const wide = inner % 4 === 0;
  const held = [1, 2, 4, 8, 16].find((size) => size >= rows)!;
  const shares = 16;
  const own = held > 8 ? 2 : 4;
  const threads = 64;
  const perGroup = (threads / shares) * own;
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const type = wide ? 'vec4f' : 'f32';
  const { buffers, term } = accumulation(accumulate);
  const cells = range(held).flatMap((r) => range(own).map((c) => ({ r, c })));
  const step = wide ? 'p.inner / 4u' : 'p.inner';
  const times = (x: string, y: string) => (wide ? `dot(${x}, ${y})` : `${x} * ${y}`);
  return {
    kernel: {
      name: `matmul of ${held} rows bᵀ`,
      threads,
      portable: false,
      buffers: [
        { name: 'a', type, access: 'read' },
        { name: 'b', type, access: 'read' },
        ...(bias ? [{ name: 'bias', type: 'f32', access: 'read' } as const] : []),
        ...buffers,
        { name: 'y', type: 'f32', access: 'write' },
      ],
      uniforms: [
        { name: 'rows', type: 'u32' },
        { name: 'columns', type: 'u32' },
        { name: 'inner', type: 'u32' },
        { name: 'alpha', type: 'f32' },
      ],
      shared: [{ name: 'scratch', type: 'f32', size: held * perGroup * shares }],
      body: `  let share = lane % ${shares}u;
  let first = group * ${perGroup}u + lane / ${shares}u * ${own}u;
  let length = ${step};
${cells.map(({ r, c }) => `  var acc${r}_${c} = 0.0f;`).join('\n')}
${range(own)
  .map((c) => `  let at_b${c} = min(first + ${c}u, p.columns - 1u) * length;`)
  .join('\n')}
${range(held)
  .map((r) => `  let at_a${r} = min(${r}u, p.rows - 1u) * length;`)
  .join('\n')}
  for (var k = share; k < length; k += ${shares}u) {
${range(own)
  .map((c) => `    let b${c} = b[at_b${c} + k];`)
  .join('\n')}
${range(held)
  .map(
    (r) =>
      `    { let x = a[at_a${r} + k]; ${range(own)
        .map((c) => `acc${r}_${c} += ${times('x', `b${c}`)};`)
        .join(' ')} }`,
  )
  .join('\n')}
  }
${cells.map(({ r, c }) => `  scratch[(${r * perGroup + c}u + lane / ${shares}u * ${own}u) * ${shares}u + share] = acc${r}_${c};`).join('\n')}
  workgroupBarrier();
  for (var i = lane; i < ${held * perGroup}u; i += ${threads}u) {
    let r = i / ${perGroup}u;
    let c = group * ${perGroup}u + i % ${perGroup}u;
    if (r < p.rows && c < p.columns) {
      var sum = 0.0f;
      for (var s = 0u; s < ${shares}u; s++) { sum += scratch[i * ${shares}u + (s + lane) % ${shares}u]; }
      let k = r * p.columns + c;
      y[k] = ${alpha === 1 ? 'sum' : 'p.alpha * sum'}${bias ? ' + bias[c]' : ''}${term('k')};
    }
  }`,
    },
    uniforms: [rows, columns, inner, alpha],
    groups: Math.ceil(columns / perGroup),
  };
}
