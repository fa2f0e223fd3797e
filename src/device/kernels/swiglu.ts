import { type KernelCall, reads, writes } from './kernel';
import { perElement } from './per-element';

/** silu(gate) · up. */
export function swiglu(count: number): KernelCall {
  return perElement(
    {
      name: 'swiglu',
      buffers: [...reads('f32', 'gate', 'up'), ...writes('f32', 'y')],
      body: '    y[i] = gate[i] / (1.0f + exp(-gate[i])) * up[i];',
    },
    count,
  );
}

/** With s = sigmoid(gate): toGate = gradient·up·s·(1 + gate·(1 − s)), toUp = gradient·gate·s. */
export function swigluGradient(count: number): KernelCall {
  return perElement(
    {
      name: 'swigluGradient',
      buffers: [...reads('f32', 'gradient', 'gate', 'up'), ...writes('f32', 'toGate', 'toUp')],
      body: `    let s = 1.0f / (1.0f + exp(-gate[i]));
    let silu = gate[i] * s;
    toGate[i] = gradient[i] * up[i] * (s + silu * (1.0f - s));
    toUp[i] = gradient[i] * silu;`,
    },
    count,
  );
}
