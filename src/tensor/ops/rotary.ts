import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank, expectShape } from '../shape';

export interface RotaryAngles {
  readonly cosine: Tensor;
  readonly sine: Tensor;
}

/** cos and sin [N, size/2] of position · theta^(−2i/size) for positions [N] i32 (Su et al. 2021). Shared by all layers. */
export function rotaryAngles(positions: Tensor, headSize: number, theta: number): RotaryAngles {
  expectRank('rotaryAngles', 'positions', positions.shape, 1);
  const shape = [positions.shape[0]!, headSize / 2];
  const [cosine, sine] = positions.graph.apply('rotaryAngles', [positions], { headSize, theta }, [{ shape }, { shape }]);
  return { cosine: cosine!, sine: sine! };
}

/** Rotary position embedding of x [N, heads · size] in the rotate-half form of Hugging Face checkpoints. `inverse` turns back: its gradient. */
export function rotary(x: Tensor, angles: RotaryAngles, heads: number, inverse = false): Tensor {
  expectRank('rotary', 'x', x.shape, 2);
  expectShape('rotary', 'cosine', angles.cosine.shape, [x.shape[0]!, x.shape[1]! / heads / 2]);
  return x.graph.apply('rotary', [x, angles.cosine, angles.sine], { heads, inverse }, [{ shape: x.shape }])[0]!;
}

export const rotaryRule: GradientRule = ({ inputs: [, cosine, sine], attributes }, [g]) => [
  rotary(g!, { cosine: cosine!, sine: sine! }, attributes.heads as number, !attributes.inverse),
  undefined,
  undefined,
];
