import type { MatmulShape } from './matmul';

/**
 * One of the two factors of a product, as a workgroup brings it to shared memory piece by piece: `span` rows of a or columns of b, and
 * `depth` steps of K. A thread holds what it brings in vectors of four, `a_v0`, `a_v1`, …, while the piece before is still computed with.
 */
export interface Factor {
  readonly name: 'a' | 'b';
  readonly span: number;
  readonly depth: number;
  /** Rows of the span, each contiguous along K; otherwise rows of K, each contiguous along the span. */
  readonly alongInner: boolean;
  /** Four neighbours are read at once: rows begin at multiples of four. */
  readonly wide: boolean;
  readonly threads: number;
}

/** Both factors of a product, for a workgroup's part of it. */
export function factorsOf(
  { rows, columns, inner, transposeA, transposeB }: MatmulShape,
  part: { readonly rows: number; readonly columns: number; readonly depth: number; readonly threads: number },
): { readonly a: Factor; readonly b: Factor } {
  const { depth, threads } = part;
  const wideA = (transposeA ? rows : inner) % 4 === 0;
  const wideB = (transposeB ? inner : columns) % 4 === 0;
  return {
    a: { name: 'a', span: part.rows, depth, alongInner: !transposeA, wide: wideA, threads },
    b: { name: 'b', span: part.columns, depth, alongInner: transposeB, wide: wideB, threads },
  };
}

/** Vectors of four that each thread brings. */
const loadsOf = ({ span, depth, threads }: Factor) => Math.ceil((span * depth) / 4 / threads);

/** Where each of a thread's vectors lies: its place in the span (`a_s0`) and along K (`a_k0`). */
function places(factor: Factor): string {
  const { name, span, depth, alongInner, threads } = factor;
  return Array.from({ length: loadsOf(factor) }, (_, i) => {
    const index = i === 0 ? 'lane' : `(lane + ${i * threads}u)`;
    const [s, k] = alongInner
      ? [`${index} / ${depth / 4}u`, `${index} % ${depth / 4}u * 4u`]
      : [`${index} % ${span / 4}u * 4u`, `${index} / ${span / 4}u`];
    return `  let ${name}_s${i} = ${s}; let ${name}_k${i} = ${k};`;
  }).join('\n');
}

/** Reads the vectors at `row0`, `column0` and `k0`; what lies outside is zero. */
function fetch(factor: Factor, declare = ''): string {
  const { name, alongInner, wide } = factor;
  const [origin, limit] = name === 'a' ? ['row0', 'p.rows'] : ['column0', 'p.columns'];
  return Array.from({ length: loadsOf(factor) }, (_, i) => {
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

/**
 * Puts the vectors into shared memory.
 *
 * @param write statements that do so with one vector, whose first number belongs at place `s` of the span and `k` along K; the others follow
 *   along K for {@link Factor.alongInner}, else along the span
 * @param convert what is made of the vectors first
 */
export function store(factor: Factor, write: (vector: string, s: string, k: string) => string, convert = (v: string) => v): string {
  const { name, span, depth, threads } = factor;
  return Array.from({ length: loadsOf(factor) }, (_, i) => {
    const all = ((span * depth) / 4) % threads === 0 || i < loadsOf(factor) - 1;
    const guard = all ? '' : `if (lane + ${i * threads}u < ${(span * depth) / 4}u) `;
    return `    ${guard}{ let v = ${convert(`${name}_v${i}`)}; ${write('v', `${name}_s${i}`, `${name}_k${i}`)} }`;
  }).join('\n');
}

/**
 * Goes along K: `body` computes with one piece of both factors in shared memory, while the next is on its way. Needs `row0` and `column0`.
 *
 * @param toShared puts a factor's vectors into shared memory
 */
export function alongK({ a, b }: { readonly a: Factor; readonly b: Factor }, toShared: (factor: Factor) => string, body: string): string {
  return `${places(a)}
${places(b)}
  var k0 = 0u;
${fetch(a, 'var ')}
${fetch(b, 'var ')}
  loop {
${toShared(a)}
${toShared(b)}
    workgroupBarrier();
    k0 += ${a.depth}u;
    if (k0 < p.inner) {
${fetch(a)}
${fetch(b)}
    }
${body}
    if (k0 >= p.inner) { break; }
    workgroupBarrier();
  }`;
}

/**
 * The sums of the rows of a, by the threads of the first column of tiles: statements before {@link alongK}, in its body, and behind it.
 *
 * @param place where a row's number `k` is in `tile_a`, for the thread `lane`
 * @param scale by what a was multiplied
 */
export function rowSumsOf(
  { rowSums }: MatmulShape,
  { span, depth }: Factor,
  place: string,
  scale?: string,
): { readonly before: string; readonly body: string; readonly behind: string } {
  if (rowSums === undefined) return { before: '', body: '', behind: '' };
  const sum = `row_sum${scale ? ` / ${scale}` : ''}${rowSums === '' ? '' : ' + row_sums[row0 + lane]'}`;
  return {
    before: '  var row_sum = 0.0f;',
    body: `    if (column0 == 0u && lane < ${span}u) { for (var k = 0u; k < ${depth}u; k++) { row_sum += f32(tile_a${place}); } }`,
    behind: `  if (column0 == 0u && lane < ${span}u && row0 + lane < p.rows) { row_sums[row0 + lane] = ${sum}; }`,
  };
}
