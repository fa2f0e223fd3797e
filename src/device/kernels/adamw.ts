import { type KernelCall, reads, writes } from './kernel';
import { perElement } from './per-element';
import { reduceGroup, reductionMemory } from './reduction';

/** norm = sqrt(Σ squares), factor = min(1, limit / (norm + 1e-6)), from the sums of squares of all gradients. */
export function clipByGlobalNorm(count: number): KernelCall {
  const threads = 256;
  return {
    kernel: {
      name: 'clipByGlobalNorm',
      threads,
      portable: true,
      buffers: [...reads('f32', 'squares', 'limit'), ...writes('f32', 'norm', 'factor')],
      uniforms: [{ name: 'count', type: 'u32' }],
      shared: [reductionMemory(threads)],
      body: `  var sum = 0.0f;
  for (var i = lane; i < p.count; i = i + ${threads}u) { sum = sum + squares[i]; }
${reduceGroup('total', 'sum', threads)}
  if (lane == 0u) {
    norm[0] = sqrt(total);
    factor[0] = min(1.0f, limit[0] / (sqrt(total) + 1e-6f));
  }`,
    },
    uniforms: [count],
    groups: 1,
  };
}

/** One AdamW step in place, see the operation `adamw`; scalars in the order of `adamwScalars`. */
export function adamw(count: number): KernelCall {
  return perElement(
    {
      name: 'adamw',
      buffers: [...reads('f32', 'gradient', 'factor', 'scalars'), ...writes('f32', 'parameter', 'mean', 'variance')],
      body: `    let g = gradient[i] * factor[0];
    let m = mean[i] * scalars[1] + g * (1.0f - scalars[1]);
    let v = variance[i] * scalars[2] + g * g * (1.0f - scalars[2]);
    mean[i] = m;
    variance[i] = v;
    let step = m / (sqrt(v / scalars[6]) + scalars[3]) * (scalars[0] / scalars[5]);
    parameter[i] = parameter[i] * (1.0f - scalars[0] * scalars[4]) - step;`,
    },
    count,
  );
}
