import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectShape } from '../shape';

/** silu(gate) · up (Shazeer 2020), both [N, d]. */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  expectShape('swiglu', 'up', up.shape, gate.shape);
  return gate.graph.apply('swiglu', [gate, up], {}, [{ shape: gate.shape }])[0]!;
}

/** With s = sigmoid(gate): dgate = g·up·s·(1 + gate·(1 − s)), dup = g·gate·s. */
export const swigluRule: GradientRule = ({ inputs: [gate, up] }, [g]) => [
  ...gate!.graph.apply('swigluGradient', [g!, gate!, up!], {}, [{ shape: gate!.shape }, { shape: up!.shape }]),
];
