import { type Accumulate, accumulation, type KernelCall, reads, writes } from './kernel';
import { reduceGroup, reductionMemory } from './reduction';

/** Threads that share a row: enough to read it in a few steps, no more. */
function rowThreads(width: number): number {
  let threads = 32;
  while (threads < 256 && threads * 4 < width) threads *= 2;
  return threads;
}

/** y = weight · x / sqrt(mean(x²) + ε) a row, and the factor 1/sqrt(…). x [rows, width]. */
export function rmsNorm(rows: number, width: number, epsilon: number): KernelCall {
  const threads = rowThreads(width);
  return {
    kernel: {
      name: `rmsNorm ${threads}`,
      threads,
      portable: true,
      buffers: [...reads('f32', 'x', 'weight'), ...writes('f32', 'y', 'factors')],
      uniforms: [
        { name: 'width', type: 'u32' },
        { name: 'epsilon', type: 'f32' },
      ],
      shared: [reductionMemory(threads)],
      body: `  let start = group * p.width;
  var sum = 0.0f;
  for (var i = lane; i < p.width; i = i + ${threads}u) { sum = sum + x[start + i] * x[start + i]; }
${reduceGroup('total', 'sum', threads)}
  let factor = 1.0f / sqrt(total / f32(p.width) + p.epsilon);
  for (var i = lane; i < p.width; i = i + ${threads}u) { y[start + i] = weight[i] * x[start + i] * factor; }
  if (lane == 0u) { factors[group] = factor; }`,
    },
    uniforms: [width, epsilon],
    groups: rows,
  };
}

/** With x̂ = x·factor and u = gradient·weight: y = factor·(u − x̂·mean(u·x̂)). */
export function rmsNormGradient(rows: number, width: number, accumulate: Accumulate): KernelCall {
  const threads = rowThreads(width);
  return {
    kernel: {
      name: `rmsNormGradient ${threads}${accumulate}`,
      threads,
      portable: true,
      buffers: [...reads('f32', 'gradient', 'x', 'weight', 'factors'), ...accumulation(accumulate).buffers, ...writes('f32', 'y')],
      uniforms: [{ name: 'width', type: 'u32' }],
      shared: [reductionMemory(threads)],
      body: `  let start = group * p.width;
  let factor = factors[group];
  var sum = 0.0f;
  for (var i = lane; i < p.width; i = i + ${threads}u) { sum = sum + gradient[start + i] * weight[i] * x[start + i]; }
${reduceGroup('total', 'sum', threads)}
  let mean = total * factor / f32(p.width);
  for (var i = lane; i < p.width; i = i + ${threads}u) {
    let k = start + i;
    y[k] = factor * (gradient[k] * weight[i] - x[k] * factor * mean)${accumulation(accumulate).term('k')};
  }`,
    },
    uniforms: [width],
    groups: rows,
  };
}

/** The gradient of the weight: Σ over rows of gradient·x·factor → y [width]. */
export function rmsNormWeightGradient(rows: number, width: number, accumulate: Accumulate): KernelCall {
  const threads = 256;
  const across = 16;
  const down = threads / across;
  return {
    kernel: {
      name: `rmsNormWeightGradient${accumulate}`,
      threads,
      portable: true,
      buffers: [...reads('f32', 'gradient', 'x', 'factors'), ...accumulation(accumulate).buffers, ...writes('f32', 'y')],
      uniforms: [
        { name: 'rows', type: 'u32' },
        { name: 'width', type: 'u32' },
      ],
      shared: [{ name: 'scratch', type: 'f32', size: threads }],
      body: `  let column = group * ${across}u + lane % ${across}u;
  var sum = 0.0f;
  if (column < p.width) {
    for (var row = lane / ${across}u; row < p.rows; row = row + ${down}u) {
      let k = row * p.width + column;
      sum = sum + gradient[k] * x[k] * factors[row];
    }
  }
  scratch[lane] = sum;
  workgroupBarrier();
  if (lane < ${across}u && column < p.width) {
    for (var other = 1u; other < ${down}u; other = other + 1u) { sum = sum + scratch[lane + other * ${across}u]; }
    y[column] = sum${accumulation(accumulate).term('column')};
  }`,
    },
    uniforms: [rows, width],
    groups: Math.ceil(width / across),
  };
}
