import type { GradientRule } from '../gradient';
import type { Tensor } from '../graph';
import { expectRank, expectShape } from '../shape';

/**
 * Root-mean-square normalisation (Zhang & Sennrich 2019): y = weight · x / sqrt(mean(x²) + ε) over each row of x [N, d].
 * The second output is the factor 1/sqrt(…) [N, 1], kept for the gradient.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  expectRank('rmsNorm', 'x', x.shape, 2);
  expectShape('rmsNorm', 'weight', weight.shape, [x.shape[1]!]);
  return x.graph.apply('rmsNorm', [x, weight], { epsilon }, [{ shape: x.shape }, { shape: [x.shape[0]!, 1] }])[0]!;
}

/** With x̂ = x·factor and u = g·weight: dx = factor·(u − x̂·mean(u·x̂)), dweight = Σ_rows g·x̂. */
export const rmsNormRule: GradientRule = ({ inputs: [x, weight], outputs: [, factor] }, [g]) => [
  ...x!.graph.apply('rmsNormGradient', [g!, x!, weight!, factor!], {}, [{ shape: x!.shape }, { shape: weight!.shape }]),
];
