import type { Tensor } from '../graph';
import { expectShape } from '../shape';

/** The global norm of all gradients together, and the factor min(1, limit / (norm + 1e-6)) that brings it down to the limit, as PyTorch's clip_grad_norm_. */
export function clipByGlobalNorm(gradients: readonly Tensor[], limit: Tensor): { readonly norm: Tensor; readonly factor: Tensor } {
  const [norm, factor] = limit.graph.apply('clipByGlobalNorm', [limit, ...gradients], {}, [{ shape: [] }, { shape: [] }]);
  return { norm: norm!, factor: factor! };
}

/** Scalars of a step, in the order in which {@link adamw} takes them as a vector. */
export const adamwScalars = ['learningRate', 'beta1', 'beta2', 'epsilon', 'weightDecay', 'correction1', 'correction2'] as const;

/**
 * AdamW (Loshchilov & Hutter 2019) as PyTorch computes it, with corrections 1 − βᵗ:
 * m ← β1·m + (1 − β1)·g, v ← β2·v + (1 − β2)·g², w ← w·(1 − lr·decay) − lr·(m/c1) / (sqrt(v/c2) + ε), where g = gradient · factor.
 */
export function adamw(
  state: { readonly parameter: Tensor; readonly gradient: Tensor; readonly mean: Tensor; readonly variance: Tensor },
  factor: Tensor,
  scalars: Tensor,
): { readonly parameter: Tensor; readonly mean: Tensor; readonly variance: Tensor } {
  const { parameter, gradient, mean, variance } = state;
  for (const [what, tensor] of Object.entries({ gradient, mean, variance })) expectShape('adamw', what, tensor.shape, parameter.shape);
  expectShape('adamw', 'scalars', scalars.shape, [adamwScalars.length]);
  const shape = parameter.shape;
  const [newParameter, newMean, newVariance] = parameter.graph.apply('adamw', [parameter, gradient, mean, variance, factor, scalars], {}, [
    { shape },
    { shape },
    { shape },
  ]);
  return { parameter: newParameter!, mean: newMean!, variance: newVariance! };
}
