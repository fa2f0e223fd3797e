import type { OptimizerStep } from '../policy/index';
import { oneOf, optional, rule } from './options';
import { type ScheduleShape, scheduleFactor } from './schedule';

/** How both trainers take their AdamW steps. */
export interface OptimizerOptions {
  /** Of the policy's own weights, at its highest. */
  readonly learningRate: number;
  /** Learning rate of the value head; `learningRate` if absent. */
  readonly valueLearningRate?: number | undefined;
  /** What becomes of the learning rates after the warm-up: they stay, or fall to 0 by the end of the run. */
  readonly schedule: ScheduleShape;
  /** Share of the run over which the learning rates rise from 0. */
  readonly warmup: number;
  /** AdamW's decay rates of the gradient's mean and of its mean square. */
  readonly betas: readonly [number, number];
  /** Added to the root of the mean square. */
  readonly epsilon: number;
  /** Share of a weight that decays in a step, times the learning rate. */
  readonly weightDecay: number;
  /** Decay norms and biases too. */
  readonly decayAll: boolean;
  /** Gradients are scaled down to this global norm; Infinity leaves them alone. */
  readonly maxGradientNorm: number;
}

export const optimizerRules = {
  learningRate: rule.positive,
  valueLearningRate: optional(rule.nonNegative),
  schedule: oneOf('constant', 'linear', 'cosine'),
  warmup: rule.shareBelowOne,
  betas: rule.betas,
  epsilon: rule.positive,
  weightDecay: rule.nonNegative,
  decayAll: rule.boolean,
  maxGradientNorm: rule.positiveOrInfinite,
} as const;

/** The scalars of optimiser step `step` (0-based) of a run of `total`. */
export function optimizerStep(
  options: OptimizerOptions,
  step: number,
  total: number,
): OptimizerStep & { readonly valueLearningRate: number } {
  const factor = scheduleFactor(options.schedule, step, total, options.warmup);
  return {
    learningRate: options.learningRate * factor,
    valueLearningRate: (options.valueLearningRate ?? options.learningRate) * factor,
    betas: options.betas,
    epsilon: options.epsilon,
    weightDecay: options.weightDecay,
    decayAll: options.decayAll,
    maxGradientNorm: options.maxGradientNorm,
  };
}
