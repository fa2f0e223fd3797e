import { type KernelBuffer, type KernelCall, sharedBytes } from '../kernels/index';

/** Rows of the batch and tokens in each, query heads and the key heads that they share, values in a head. */
export interface AttentionSizes {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Attention over a cache: what a row of it has room for, and whether `cacheRows` says which of them each row of the batch has. */
export interface CacheSizes extends AttentionSizes {
  readonly capacity: number;
  readonly chosen: boolean;
}

/** In a kernel: the row of the cache of row b of the batch. */
export const cacheRow = ({ chosen }: Pick<CacheSizes, 'chosen'>) => (chosen ? 'u32(cacheRows[b])' : 'b');

/**
 * How a workgroup divides attention. It owns `4 · down` rows and walks over tiles of `across · others` others: of keys if it owns queries, of
 * queries if it owns keys. Each of its `across · down` threads holds the products of 4 own rows with `others` others.
 */
export interface AttentionTile {
  readonly across: number;
  readonly down: number;
  readonly others: number;
}

/** Own rows of a thread: the components of one vector, so that weights and maxima pass from thread to thread in single accesses. */
const rowsPerThread = 4;
const components = ['x', 'y', 'z', 'w'] as const;

/** All sizes but that of a head, which is part of the source. */
export const attentionUniforms = (['batch', 'length', 'heads', 'kvHeads'] as const).map((name) => ({ name, type: 'u32' }) as const);

/** A score that must not count. Finite: a row that has seen no key yet has this maximum, and forgets what it gathered when it meets one. */
export const masked = '-1.0e30f';

export const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

/** A tile that fits: rows of a few tokens would fill no larger one, and large heads take more of the 32 KiB of shared memory. */
export function attentionTile({ length, headSize }: Pick<AttentionSizes, 'length' | 'headSize'>): AttentionTile {
  if (length <= 16) return { across: 4, down: 4, others: 4 };
  return { across: 8, down: 8, others: headSize <= 64 ? 4 : 2 };
}

/** From the usual one down, the first tile whose kernel fits into a GPU's workgroup memory; the smallest if none does. */
export function fittingAttention(
  sizes: Pick<AttentionSizes, 'length' | 'headSize'>,
  bytes: number,
  build: (tile: AttentionTile) => KernelCall,
): KernelCall {
  const smaller = [2, 1].map((others) => ({ across: 8, down: 8, others }));
  const smallest = [4, 2, 1].map((others) => ({ across: 4, down: 4, others }));
  const calls = [attentionTile(sizes), ...smaller, ...smallest].map(build);
  return calls.find(({ kernel }) => sharedBytes(kernel) <= bytes) ?? calls.at(-1)!;
}

/** Vectors of four are read and written as they lie in memory, if heads begin at multiples of four; otherwise value by value, padded with zeros. */
export class HeadVectors {
  readonly quads: number;
  readonly wide: boolean;
  /** How far apart heads lie, counted in elements of the buffer. */
  readonly pitch: number;

  constructor(readonly size: number) {
    this.quads = Math.ceil(size / 4);
    this.wide = size % 4 === 0;
    this.pitch = this.wide ? this.quads : size;
  }

  buffer(name: string, access: 'read' | 'write' = 'read'): KernelBuffer {
    return { name, type: this.wide ? 'vec4f' : 'f32', access };
  }

  /** Vector `quad` of the head that begins at element `at`. */
  read(buffer: string, at: string, quad: string): string {
    if (this.wide) return `${buffer}[${at} + ${quad}]`;
    const values = range(4).map((i) => {
      const place = `4u * ${quad} + ${i}u`;
      return `select(0.0f, ${buffer}[${at} + min(${place}, ${this.size - 1}u)], ${place} < ${this.size}u)`;
    });
    return `vec4f(${values.join(', ')})`;
  }

  write(buffer: string, at: string, quad: string, value: string): string {
    if (this.wide) return `${buffer}[${at} + ${quad}] = ${value};`;
    const writes = range(4).map(
      (i) => `if (4u * ${quad} + ${i}u < ${this.size}u) { ${buffer}[${at} + 4u * ${quad} + ${i}u] = written.${components[i]}; }`,
    );
    return `{ let written = ${value}; ${writes.join(' ')} }`;
  }
}

/** The statements that the attention kernels have in common, for one head size and tile. */
export class Tiling {
  readonly vectors: HeadVectors;
  readonly threads: number;
  readonly own: number;
  readonly others: number;
  /** Vectors that a thread holds of each sum over the others. */
  readonly columns: number;
  /** A row of a tile in shared memory. Odd, so that a column's vectors fall on different banks. */
  readonly stride: number;

  constructor(
    headSize: number,
    readonly tile: AttentionTile,
  ) {
    this.vectors = new HeadVectors(headSize);
    this.threads = tile.across * tile.down;
    this.own = rowsPerThread * tile.down;
    this.others = tile.across * tile.others;
    this.columns = Math.ceil(this.vectors.quads / tile.across);
    this.stride = this.vectors.quads | 1;
  }

  /** A tile of others. A thread without a column of its own reads past the end of the last row. */
  tileMemory(name: string) {
    return { name, type: 'vec4f', size: this.others * this.stride + this.tile.across } as const;
  }

  /** The memory for {@link visibleEnd}. */
  get endMemory() {
    return { name: 'ends', type: 'u32', size: this.threads } as const;
  }

  /** A value for each pair of an own row and another, four own rows in a vector. */
  weightMemory(name: string) {
    return { name, type: 'vec4f', size: this.tile.down * this.others } as const;
  }

  /** A vector a thread, to be combined along the rows. */
  rowMemory(name: string) {
    return { name, type: 'vec4f', size: this.threads } as const;
  }

  /** Where a thread stands in the workgroup. */
  get place(): string {
    return `  let tx = lane % ${this.tile.across}u;
  let ty = lane / ${this.tile.across}u;`;
  }

  /** Where a workgroup that owns queries of head `h` begins and ends. The last queries see most keys: they begin first. */
  get ownQueries(): string {
    return `${this.place}
  let own0 = ((p.length + ${this.own - 1}u) / ${this.own}u - 1u - group / (p.batch * p.heads)) * ${this.own}u;
  let own_end = min(own0 + ${this.own}u, p.length);
  let b = group % (p.batch * p.heads) / p.heads;
  let h = group % p.heads;
  let kv = h / (p.heads / p.kvHeads);
  let row0 = b * p.length;
${this.ownRows('h', 'p.heads')}`;
  }

  /** The first tile of keys for those queries, 0 without segments. */
  firstTile(segmented: boolean): string {
    if (!segmented) return '  let first = 0u;';
    return `${visibleEnd('first_key', 'first', { from: '0u', to: 'own_end' }, this.threads)}
  let first = first_key / ${this.others}u;
${this.ownSegments}`;
  }

  get ownSegments(): string {
    return `  let own_segments = vec4i(${range(rowsPerThread)
      .map((r) => `segments[row0 + min(t${r}, p.length - 1u)]`)
      .join(', ')});`;
  }

  /** Which own rows meet another, in row `row` of the sequence: those that fulfil the condition and are of its segment. */
  sees(condition: string, row: string, segmented: boolean): string {
    return segmented ? `(${condition}) & (vec4i(segments[row0 + min(${row}, p.length - 1u)]) == own_segments)` : condition;
  }

  /** `t0`… (together `own_rows`) the thread's rows in the sequence, which may lie behind its end; `at0`… where their heads begin. */
  ownRows(head: string, heads: string): string {
    return range(rowsPerThread)
      .map(
        (r) => `  let t${r} = own0 + ty * ${rowsPerThread}u + ${r}u;
  let entry${r} = (row0 + min(t${r}, p.length - 1u)) * ${heads} + ${head};
  let at${r} = entry${r} * ${this.vectors.pitch}u;`,
      )
      .concat(
        `  let own_rows = vec4u(${range(rowsPerThread)
          .map((r) => `t${r}`)
          .join(', ')});`,
      )
      .join('\n');
  }

  /** Brings vectors of `others` rows to shared memory: `at` tells where the head of row `row` begins. */
  load(tiles: readonly { readonly tile: string; readonly buffer: string }[], at: string): string {
    const { quads } = this.vectors;
    const total = this.others * quads;
    const body = `let row = i / ${quads}u; let d = i % ${quads}u; let at = ${at}; ${tiles
      .map(({ tile, buffer }) => `${tile}[row * ${this.stride}u + d] = ${this.vectors.read(buffer, 'at', 'd')};`)
      .join(' ')}`;
    // a fixed number of rounds can be unrolled, with all reads under way at once
    if (total % this.threads === 0) {
      return `for (var n = 0u; n < ${total / this.threads}u; n++) { let i = lane + n * ${this.threads}u; ${body} }`;
    }
    return `for (var i = lane; i < ${total}u; i += ${this.threads}u) { ${body} }`;
  }

  /** `${sum}0`…: vectors over the own rows, one for each of the thread's others, of the products of own rows with the rows of a tile. */
  products(all: readonly { readonly sum: string; readonly own: string; readonly tile: string }[]): string {
    const { across, others } = this.tile;
    const declare = all.flatMap(({ sum }) => range(others).flatMap((j) => range(rowsPerThread).map((r) => `var ${sum}${r}_${j} = 0.0f;`)));
    const steps = all.map(({ sum, own, tile }) => {
      const columns = range(others).map((j) => `let y${j} = ${tile}[(tx + ${j * across}u) * ${this.stride}u + d];`);
      const rows = range(rowsPerThread).map(
        (r) =>
          `{ let x = ${this.vectors.read(own, `at${r}`, 'd')}; ${range(others)
            .map((j) => `${sum}${r}_${j} = ${sum}${r}_${j} + ${components.map((c) => `x.${c} * y${j}.${c}`).join(' + ')};`)
            .join(' ')} }`,
      );
      return `      { ${columns.join(' ')}
        ${rows.join('\n        ')} }`;
    });
    const vectors = all.flatMap(({ sum }) =>
      range(others).map(
        (j) =>
          `let ${sum}${j} = vec4f(${range(rowsPerThread)
            .map((r) => `${sum}${r}_${j}`)
            .join(', ')});`,
      ),
    );
    return `    ${declare.join(' ')}
    for (var d = 0u; d < ${this.vectors.quads}u; d++) {
${steps.join('\n')}
    }
    ${vectors.join(' ')}`;
  }

  /** Where a thread keeps the weight of its other number `j`. */
  weight(memory: string, j: number): string {
    return `${memory}[ty * ${this.others}u + tx + ${j * this.tile.across}u]`;
  }

  declareSums(names: readonly string[]): string {
    return `  ${this.eachSum(names, (name) => `var ${name} = vec4f();`).join(' ')}`;
  }

  /** Calls `write` for the sum of each own row and column. */
  eachSum(names: readonly string[], write: (name: string, row: number, column: number) => string): string[] {
    return names.flatMap((name) => range(rowsPerThread).flatMap((r) => range(this.columns).map((c) => write(`${name}${r}_${c}`, r, c))));
  }

  /** Adds to each sum the rows of a tile by their weights. */
  accumulate(all: readonly { readonly sum: string; readonly weights: string; readonly tile: string }[]): string {
    const steps = all.map(({ sum, weights, tile }) => {
      const columns = range(this.columns).map(
        (c) =>
          `{ let y = ${tile}[other * ${this.stride}u + tx + ${c * this.tile.across}u]; ${range(rowsPerThread)
            .map((r) => `${sum}${r}_${c} += x.${components[r]} * y;`)
            .join(' ')} }`,
      );
      return `      { let x = ${weights}[ty * ${this.others}u + other]; ${columns.join(' ')} }`;
    });
    return `    for (var other = 0u; other < ${this.others}u; other++) {
${steps.join('\n')}
    }`;
  }

  /** Combines the vectors of `memory` along each row into `name`. */
  alongRow(name: string, memory: string, combine: (a: string, b: string) => string): string {
    const { across } = this.tile;
    return `var ${name} = ${memory}[ty * ${across}u];
    for (var x = 1u; x < ${across}u; x++) { ${name} = ${combine(name, `${memory}[ty * ${across}u + x]`)}; }`;
  }

  /** Writes each sum, times a factor, where its own row lies: rows behind the end and columns behind the head's are left out. */
  writeSums(name: string, buffer: string, factor: (row: number) => string): string {
    const { across } = this.tile;
    const { quads } = this.vectors;
    return range(rowsPerThread)
      .map((r) => {
        const writes = range(this.columns).map((c) => {
          const column = `(tx + ${c * across}u)`;
          const write = this.vectors.write(buffer, `at${r}`, column, `${name}${r}_${c} * ${factor(r)}`);
          return (c + 1) * across <= quads ? write : `if (${column} < ${quads}u) { ${write} }`;
        });
        return `  if (t${r} < p.length) { ${writes.join(' ')} }`;
      })
      .join('\n');
  }
}

/**
 * With segments, the part of the others that own rows can see at all: `name` is the first (or last) row of `from`…`to` whose segment lies
 * between the smallest and the largest of own rows `own0`…`own_end`. Segments that lie one behind the other cost nothing to each other so.
 * Needs `ends`, shared, a u32 a thread. The result is uniform.
 */
export function visibleEnd(name: string, which: 'first' | 'last', { from, to }: { from: string; to: string }, threads: number): string {
  const [start, pick] = which === 'first' ? [to, 'min'] : [from, 'max'];
  return `  var lowest = segments[row0 + own0];
  var highest = lowest;
  for (var i = own0 + 1u; i < own_end; i++) { let segment = segments[row0 + i]; lowest = min(lowest, segment); highest = max(highest, segment); }
  var found = ${start};
  for (var i = ${from} + lane; i < ${to}; i += ${threads}u) {
    let segment = segments[row0 + i];
    if (segment >= lowest && segment <= highest) { found = ${pick}(found, i); }
  }
  ends[lane] = found;
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 1u; i < ${threads}u; i++) { found = ${pick}(found, ends[i]); }
    ends[0] = found;
  }
  let ${name} = workgroupUniformLoad(&ends[0]);`;
}
