import { type Accumulate, accumulation, type KernelCall } from './kernel';

/** Statements that leave in `name` the sum (or maximum) of every thread's `value`. Needs `scratch`, shared, one f32 a thread. */
export function reduceGroup(name: string, value: string, threads: number, combine = (a: string, b: string) => `${a} + ${b}`): string {
  return `  scratch[lane] = ${value};
  workgroupBarrier();
  for (var half_${name} = ${threads / 2}u; half_${name} > 0u; half_${name} = half_${name} / 2u) {
    if (lane < half_${name}) { scratch[lane] = ${combine('scratch[lane]', `scratch[lane + half_${name}]`)}; }
    workgroupBarrier();
  }
  let ${name} = scratch[0];
  workgroupBarrier();`;
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
      buffers: [
        { name: 'x', type: 'f32', access: 'read' },
        { name: 'y', type: 'f32', access: 'write' },
      ],
      uniforms: [
        { name: 'count', type: 'u32' },
        { name: 'place', type: 'u32' },
        { name: 'stride', type: 'u32' },
      ],
      shared: [{ name: 'scratch', type: 'f32', size: threads }],
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
      buffers: [
        { name: 'x', type: 'f32', access: 'read' },
        ...accumulation(accumulate).buffers,
        { name: 'y', type: 'f32', access: 'write' },
      ],
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
