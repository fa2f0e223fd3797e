import type { KernelCall } from './kernel';

const threads = 256;

/** silu(gate) · up. */
export function swiglu(count: number): KernelCall {
  return {
    kernel: {
      name: 'swiglu',
      threads,
      portable: true,
      buffers: [
        { name: 'gate', type: 'f32', access: 'read' },
        { name: 'up', type: 'f32', access: 'read' },
        { name: 'y', type: 'f32', access: 'write' },
      ],
      uniforms: [{ name: 'count', type: 'u32' }],
      body: `  let i = group * ${threads}u + lane;
  if (i < p.count) { y[i] = gate[i] / (1.0f + exp(-gate[i])) * up[i]; }`,
    },
    uniforms: [count],
    groups: Math.ceil(count / threads),
  };
}

/** With s = sigmoid(gate): toGate = gradient·up·s·(1 + gate·(1 − s)), toUp = gradient·gate·s. */
export function swigluGradient(count: number): KernelCall {
  return {
    kernel: {
      name: 'swigluGradient',
      threads,
      portable: true,
      buffers: [
        { name: 'gradient', type: 'f32', access: 'read' },
        { name: 'gate', type: 'f32', access: 'read' },
        { name: 'up', type: 'f32', access: 'read' },
        { name: 'toGate', type: 'f32', access: 'write' },
        { name: 'toUp', type: 'f32', access: 'write' },
      ],
      uniforms: [{ name: 'count', type: 'u32' }],
      body: `  let i = group * ${threads}u + lane;
  if (i < p.count) {
    let s = 1.0f / (1.0f + exp(-gate[i]));
    let silu = gate[i] * s;
    toGate[i] = gradient[i] * up[i] * (s + silu * (1.0f - s));
    toUp[i] = gradient[i] * silu;
  }`,
    },
    uniforms: [count],
    groups: Math.ceil(count / threads),
  };
}
