import { type Accumulate, accumulation, type KernelCall } from './kernel';

const threads = 256;

/** Picks rows: table [V, width], rows [M] → y [M, width]. */
export function gather(count: number, width: number, type: 'f32' | 'i32' = 'f32'): KernelCall {
  return {
    kernel: {
      name: `gather ${type}`,
      threads,
      portable: true,
      buffers: [
        { name: 'table', type, access: 'read' },
        { name: 'rows', type: 'i32', access: 'read' },
        { name: 'y', type, access: 'write' },
      ],
      uniforms: [
        { name: 'count', type: 'u32' },
        { name: 'width', type: 'u32' },
      ],
      body: `  let i = group * ${threads}u + lane;
  if (i < p.count) { y[i] = table[u32(rows[i / p.width]) * p.width + i % p.width]; }`,
    },
    uniforms: [count * width, width],
    groups: Math.ceil((count * width) / threads),
  };
}

/** Four bytes at a time, whatever they are: as floats some integers would not survive it. */
export function copy(count: number): KernelCall {
  return {
    kernel: {
      name: 'copy',
      threads,
      portable: true,
      buffers: [
        { name: 'x', type: 'i32', access: 'read' },
        { name: 'y', type: 'i32', access: 'write' },
      ],
      uniforms: [{ name: 'count', type: 'u32' }],
      body: `  let i = group * ${threads}u + lane;
  if (i < p.count) { y[i] = x[i]; }`,
    },
    uniforms: [count],
    groups: Math.ceil(count / threads),
  };
}

/** The integers of y where condition ≤ 0, those of x elsewhere: y [M] holds them before and after. */
export function select(count: number): KernelCall {
  return {
    kernel: {
      name: 'select i32',
      threads,
      portable: true,
      buffers: [
        { name: 'condition', type: 'i32', access: 'read' },
        { name: 'x', type: 'i32', access: 'read' },
        { name: 'y', type: 'i32', access: 'write' },
      ],
      uniforms: [{ name: 'count', type: 'u32' }],
      body: `  let i = group * ${threads}u + lane;
  if (i < p.count) {
    if (condition[i] > 0) { y[i] = x[i]; }
  }`,
    },
    uniforms: [count],
    groups: Math.ceil(count / threads),
  };
}

/**
 * Adds rows of values [M, width] to the rows of y [height, width] that they belong to. GPUs have no exact way to add from several threads at
 * once, so each element of y looks up its own: `order` lists the rows of values by the row of y that they go to, `starts` [height + 1] where
 * each row's part of that list begins. The sum is always taken in the same order.
 */
export function scatterAdd(height: number, width: number, accumulate: Accumulate): KernelCall {
  return {
    kernel: {
      name: `scatterAdd${accumulate}`,
      threads,
      portable: true,
      buffers: [
        { name: 'values', type: 'f32', access: 'read' },
        { name: 'starts', type: 'i32', access: 'read' },
        { name: 'order', type: 'i32', access: 'read' },
        ...accumulation(accumulate).buffers,
        { name: 'y', type: 'f32', access: 'write' },
      ],
      uniforms: [
        { name: 'count', type: 'u32' },
        { name: 'width', type: 'u32' },
      ],
      body: `  let i = group * ${threads}u + lane;
  if (i < p.count) {
    let row = i / p.width;
    let column = i % p.width;
    var sum = 0.0f;
    for (var k = starts[row]; k < starts[row + 1u]; k = k + 1) { sum = sum + values[u32(order[k]) * p.width + column]; }
    y[i] = sum${accumulation(accumulate).term('i')};
  }`,
    },
    uniforms: [height * width, width],
    groups: Math.ceil((height * width) / threads),
  };
}
