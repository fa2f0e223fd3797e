import type { PPOLossOptions } from '../policy/index';
import type { Credit } from './advantage';
import { type OptimizerOptions, optimizerRules } from './optimizer';
import { type OptionRule, oneOf, optional, rule } from './options';

/** Everything about a PPO run that is a number or a choice. */
export interface PPOHyperparameters extends OptimizerOptions {
  /** Everything random in the run derives from it and from the iteration's number. */
  readonly seed: number;
  /** Dialogues an iteration. */
  readonly dialogues: number;
  /** Passes over an iteration's dialogues. */
  readonly epochs: number;
  /** Optimiser steps a pass: the dialogues are shuffled and divided into so many parts. */
  readonly minibatches: number;
  /**
   * Discount from turn to turn. With 1, dialogues that the turn limit always truncates, and credit along the dialogue, values have no
   * bound: each iteration adds the rewards of a dialogue to them.
   */
  readonly gamma: number;
  /** GAE's λ. */
  readonly lambda: number;
  /** `dialogue`: GAE along the whole dialogue. `turn`: each turn for itself, as the reference code. */
  readonly credit: Credit;
  /** The ratio is clipped to 1 ± this. */
  readonly clip: number;
  /** The value may move this far from the old one in an iteration before its loss is clipped; in units of the return. */
  readonly valueClip: number;
  readonly valueCoefficient: number;
  readonly entropyCoefficient: number;
  /** How the policy is held near the reference: k1 for each token inside the reward, or the k2 or k3 estimate as a loss term. */
  readonly kl: 'reward' | PPOLossOptions['klLoss'];
  readonly klCoefficient: number;
  /** Adapts the coefficient, which then begins above 0, towards this KL, in nats a token. Left out: the coefficient is fixed. */
  readonly klTarget?: number | undefined;
  /** Dialogues over which the adaptive coefficient reacts. */
  readonly klHorizon: number;
  /** An iteration's epochs end before a step at which the approximate KL to the policy that sampled is above this; Infinity to never stop. */
  readonly stopKl: number;
  /** First iterations in which only the value head moves. */
  readonly valueWarmup: number;
  /** Divide rewards by their running standard deviation. */
  readonly rewardScaling: boolean;
  /** Samples whose weights are more optimiser steps old than this are dropped. */
  readonly maxStaleness: number;
  /** A checkpoint every so many iterations, and after the last. */
  readonly checkpointEvery: number;
}

/** What {@link PPOTrainer} uses unless told otherwise: for policies of up to some ten million parameters. */
export const ppoDefaults: PPOHyperparameters = {
  seed: 0,
  dialogues: 64,
  epochs: 2,
  minibatches: 4,
  learningRate: 3e-4,
  valueLearningRate: 1e-3,
  schedule: 'constant',
  warmup: 0.03,
  betas: [0.9, 0.95],
  epsilon: 1e-5,
  weightDecay: 0,
  decayAll: false,
  maxGradientNorm: 1,
  gamma: 0.9,
  lambda: 0.95,
  credit: 'dialogue',
  clip: 0.2,
  valueClip: 1, // returns of a ten-turn dialogue reach 20: the paper's 0.2 would starve a fresh value head
  valueCoefficient: 0.5,
  entropyCoefficient: 0,
  kl: 'reward',
  klCoefficient: 0.01,
  klHorizon: 1024,
  stopKl: 0.1,
  valueWarmup: 1,
  rewardScaling: false,
  maxStaleness: 0,
  checkpointEvery: 1,
};

/**
 * The paper's training line with the credit assignment of its reference code, for policies of billions of parameters. With
 * `samplesPerTurn: 4` and `continuation: 'best'` in the environment it comes near the reference run. Batches of 256 and 128 samples
 * there are counted as dialogues here.
 */
export const paperDefaults = {
  dialogues: 256,
  epochs: 1,
  minibatches: 2,
  learningRate: 5e-7,
  valueLearningRate: 9e-6,
  schedule: 'cosine',
  warmup: 0.03,
  betas: [0.9, 0.95],
  maxGradientNorm: 1,
  gamma: 1,
  lambda: 0.95,
  credit: 'turn',
  clip: 0.2,
  valueClip: 0.2,
  kl: 'reward',
  klCoefficient: 0.01,
} as const satisfies Partial<PPOHyperparameters>;

export const ppoRules = {
  ...optimizerRules,
  seed: rule.countOrZero,
  dialogues: rule.count,
  epochs: rule.count,
  minibatches: rule.count,
  gamma: rule.share,
  lambda: rule.share,
  credit: oneOf('dialogue', 'turn'),
  clip: rule.positive,
  valueClip: rule.positive,
  valueCoefficient: rule.nonNegative,
  entropyCoefficient: rule.nonNegative,
  kl: oneOf('reward', 'k2', 'k3'),
  klCoefficient: rule.nonNegative,
  klTarget: optional(rule.positive),
  klHorizon: rule.positive,
  stopKl: rule.positiveOrInfinite,
  valueWarmup: rule.countOrZero,
  rewardScaling: rule.boolean,
  maxStaleness: rule.nonNegativeOrInfinite,
  checkpointEvery: rule.count,
} satisfies Record<keyof PPOHyperparameters, OptionRule>;
