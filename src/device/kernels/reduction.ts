import { type Accumulate, accumulation, type KernelCall, reads, writes } from './kernel';

/** Parts in which a group's values are combined. */
const parts = 16;

/** The shared memory that {@link reduceGroup} needs, `scratch`. */
export const reductionMemory = (threads: number) => ({ name: 'scratch', type: 'f32', size: threads + parts }) as const;

/**
 * Statements that leave in `name`, for every thread, the sum (or maximum) of all threads' `value`: sixteen threads combine a part each, then
 * everyone combines the parts. Two barriers; the next reduction may follow at once, since each writes what the one before no longer reads.
 */
export function reduceGroup(name: string, value: string, threads: number, combine = (a: string, b: string) => `${a} + ${b}`): string {
  return `  scratch[lane] = ${value};
  workgroupBarrier();
  if (lane < ${parts}u) {
    var part_${name} = scratch[lane];
    for (var other_${name} = lane + ${parts}u; other_${name} < ${threads}u; other_${name} = other_${name} + ${parts}u) {
      part_${name} = ${combine(`part_${name}`, `scratch[other_${name}]`)};
    }
    scratch[${threads}u + lane] = part_${name};
  }
  workgroupBarrier();
  var ${name} = scratch[${threads}u];
  for (var other_${name} = 1u; other_${name} < ${parts}u; other_${name} = other_${name} + 1u) {
    ${name} = ${combine(name, `scratch[${threads}u + other_${name}]`)};
  }`;
}

export const maximumOf = (a: string, b: string) => `max(${a}, ${b})`;

/** The sum of all elements, x [count] → y []; `offset` and `squares` for sums of squares that are gathered in a vector. */
export function sum(count: number, { squares = false, place = 0 } = {}): KernelCall {
  const threads = 256;
  return {
    kernel: {
      name: squares ? 'sum of squares' : 'sum',
      threads,
      portable: true,
      buffers: [...reads('f32', 'x'), ...writes('f32', 'y')],
      uniforms: [
        { name: 'count', type: 'u32' },
        { name: 'place', type: 'u32' },
        { name: 'stride', type: 'u32' },
      ],
      shared: [reductionMemory(threads)],
      body: `  var sum = 0.0f;
  for (var i = group * ${threads}u + lane; i < p.count; i = i + p.stride) { sum = sum + ${squares ? 'x[i] * x[i]' : 'x[i]'}; }
${reduceGroup('total', 'sum', threads)}
  if (lane == 0u) { y[p.place + group] = total; }`,
    },
    uniforms: [count, place, threads * sumGroups(count, squares)],
    groups: sumGroups(count, squares),
  };
}

/** Partial results that {@link sum} writes: several for sums of squares, which a later pass adds up. */
export function sumGroups(count: number, squares: boolean): number {
  return squares ? Math.min(256, Math.ceil(count / 8192)) : 1;
}

/** Adds up the rows of x [rows, columns] → y [columns]. */
export function sumRows(rows: number, columns: number, accumulate: Accumulate): KernelCall {
  const threads = 256;
  const across = 32;
  const down = threads / across;
  return {
    kernel: {
      name: `sumRows${accumulate}`,
      threads,
      portable: true,
      buffers: [...reads('f32', 'x'), ...accumulation(accumulate).buffers, ...writes('f32', 'y')],
      uniforms: [
        { name: 'rows', type: 'u32' },
        { name: 'columns', type: 'u32' },
      ],
      shared: [{ name: 'scratch', type: 'f32', size: threads }],
      body: `  let column = group * ${across}u + lane % ${across}u;
  var sum = 0.0f;
  if (column < p.columns) {
    for (var row = lane / ${across}u; row < p.rows; row = row + ${down}u) { sum = sum + x[row * p.columns + column]; }
  }
  scratch[lane] = sum;
  workgroupBarrier();
  if (lane < ${across}u && column < p.columns) {
    for (var other = 1u; other < ${down}u; other = other + 1u) { sum = sum + scratch[lane + other * ${across}u]; }
    y[column] = sum${accumulation(accumulate).term('column')};
  }`,
    },
    uniforms: [rows, columns],
    groups: Math.ceil(columns / across),
  };
}
