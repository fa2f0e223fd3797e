import type { MatmulShape } from './matmul';

/**
 * One of the two factors of a product, as a workgroup brings it to shared memory piece by piece: `span` rows of a or columns of b, and
 * `depth` steps of K. A thread holds what it brings in loads of one vector of four, or of four such vectors where they are to be turned,
 * while the piece before is still computed with.
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
  /**
   * Vectors lie along K and are to lie along the span: a load is four of them, from neighbouring rows, turned by the thread itself. Two threads
   * may not write parts of the same vector in shared memory.
   */
  readonly turned: boolean;
}

/** Both factors of a product, for a workgroup's part of it. */
export function factorsOf(
  { rows, columns, inner, transposeA, transposeB }: MatmulShape,
  part: {
    readonly rows: number;
    readonly columns: number;
    readonly depth: number;
    readonly threads: number;
    /** Vectors in shared memory lie along the span; otherwise as in memory. */
    readonly alongSpan: boolean;
  },
): { readonly a: Factor; readonly b: Factor } {
  const { depth, threads, alongSpan } = part;
  const wideA = (transposeA ? rows : inner) % 4 === 0;
  const wideB = (transposeB ? inner : columns) % 4 === 0;
  return {
    a: { name: 'a', span: part.rows, depth, alongInner: !transposeA, wide: wideA, threads, turned: alongSpan && !transposeA },
    b: { name: 'b', span: part.columns, depth, alongInner: transposeB, wide: wideB, threads, turned: alongSpan && transposeB },
  };
}

/** Vectors of a load: `a_v0_0`, `a_v0_1`, … */
const vectorsOf = ({ turned }: Factor) => Array.from({ length: turned ? 4 : 1 }, (_, index) => index);
const loadCount = ({ span, depth, turned }: Factor) => (span * depth) / (turned ? 16 : 4);
/** Loads of each thread. */
const loadsOf = (factor: Factor) => Array.from({ length: Math.ceil(loadCount(factor) / factor.threads) }, (_, index) => index);

/** Where each of a thread's loads begins: its place in the span (`a_s0`) and along K (`a_k0`). */
export function places(factor: Factor): string {
  const { name, span, depth, alongInner, threads, turned } = factor;
  return loadsOf(factor)
    .map((i) => {
      const index = i === 0 ? 'lane' : `(lane + ${i * threads}u)`;
      const [s, k] = alongInner
        ? [`${index} / ${depth / 4}u${turned ? ' * 4u' : ''}`, `${index} % ${depth / 4}u * 4u`]
        : [`${index} % ${span / 4}u * 4u`, `${index} / ${span / 4}u`];
      return `  let ${name}_s${i} = ${s}; let ${name}_k${i} = ${k};`;
    })
    .join('\n');
}

/** Where a thread holds vector `v` of its load `i`. */
const register = ({ name }: Factor, i: number, v: number) => `${name}_v${i}_${v}`;

/** Declares what a thread holds its loads in. */
export function registers(factor: Factor): string {
  const names = loadsOf(factor).flatMap((i) => vectorsOf(factor).map((v) => register(factor, i, v)));
  return names.map((name) => `  var ${name} = vec4f();`).join('\n');
}

/** Reads the loads at `row0`, `column0` and `k0`; what lies outside is zero. */
export function fetch(factor: Factor): string {
  const { name, alongInner, wide } = factor;
  const [origin, limit] = name === 'a' ? ['row0', 'p.rows'] : ['column0', 'p.columns'];
  return loadsOf(factor)
    .flatMap((i) =>
      vectorsOf(factor).map((v) => {
        const vector = register(factor, i, v);
        const s = `${origin} + ${name}_s${i}${v === 0 ? '' : ` + ${v}u`}`;
        const k = `k0 + ${name}_k${i}`;
        const [row, first, rows, width] = alongInner ? [s, k, limit, 'p.inner'] : [k, s, 'p.inner', limit];
        const start = `let row = ${row}; let first = ${first}; let at = row * ${width} + first;`;
        if (wide) return `      { ${start} ${vector} = select(vec4f(), ${name}[at / 4u], row < ${rows} && first < ${width}); }`;
        // a loop, not four reads with bounds of their own: software adapters take ten times as long, and more, to compile those
        const each = `${vector}[j] = select(0.0f, ${name}[at + j], row < ${rows} && first + j < ${width});`;
        return `      { ${start} for (var j = 0u; j < 4u; j++) { ${each} } }`;
      }),
    )
    .join('\n');
}

/**
 * Puts the loads into shared memory.
 *
 * @param write a statement that does so with a vector whose first number belongs at place `s` of the span and `k` along K; the others follow
 *   along the span if they lie so or were turned, else along K
 * @param convert what is made of a vector first
 */
export function store(factor: Factor, write: (vector: string, s: string, k: string) => string, convert = (v: string) => v): string {
  const { name, threads, turned } = factor;
  const count = loadCount(factor);
  return loadsOf(factor)
    .map((i) => {
      const guard = (i + 1) * threads <= count ? '' : `if (lane + ${i * threads}u < ${count}u) `;
      const vectors = vectorsOf(factor);
      const lines = vectors.map((v) => {
        const turnedVector = () => `vec4f(${vectors.map((r) => `${register(factor, i, r)}.${'xyzw'[v]}`).join(', ')})`;
        const vector = turned ? turnedVector() : register(factor, i, v);
        const k = v === 0 ? `${name}_k${i}` : `(${name}_k${i} + ${v}u)`;
        return `{ let v = ${convert(vector)}; ${write('v', `${name}_s${i}`, k)} }`;
      });
      return `    ${guard}{ ${lines.join(' ')} }`;
    })
    .join('\n');
}
