import type { SupportLimits } from '../tensor/index';
import type { Policy } from './policy';

/** A token sequence of which some tokens were written by the policy. All arrays have the length T of `tokens` and entry t speaks of token t. */
export interface TrainingSequence {
  readonly tokens: Int32Array;
  /** 1 where the policy wrote token t and it is to be trained on; never 1 at position 0, which nothing predicts. */
  readonly actionMask: Uint8Array;
}

/** What the current weights say of a sequence. Entries are 0 where the action mask is 0. */
export interface ScoredSequence {
  /** log π(token t | tokens before t), logits divided by the policy's temperature. */
  readonly logProbs: Float32Array;
  /** V read at position t − 1, that is before token t is chosen. */
  readonly values: Float32Array;
  readonly entropies: Float32Array;
}

/** A sequence with all that the PPO loss needs; arrays aligned with `tokens`. */
export interface PPOSequence extends TrainingSequence {
  readonly oldLogProbs: Float32Array;
  readonly referenceLogProbs: Float32Array;
  readonly oldValues: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
}

export interface PPOLossOptions {
  /** The ratio to the policy that sampled is clipped to 1 ± this. */
  readonly clip: number;
  /** How far the value may move from the old one before its loss is clipped, in units of the return. */
  readonly valueClip: number;
  /** Weight of the value loss. */
  readonly valueCoefficient: number;
  /** Weight of the entropy, in nats, which is subtracted from the loss. */
  readonly entropyCoefficient: number;
  /** Weight of the k2 or k3 estimate of KL(π‖reference) as a loss term; 0 when KL is in the reward. */
  readonly klLossCoefficient: number;
  readonly klLoss: 'k2' | 'k3';
  /** Trainable tokens of the whole optimiser batch: sums are divided by it, so the micro-batch size does not matter. */
  readonly normalizer: number;
}

/** Means over the action tokens (already divided by the normalizer, so micro-batches add up); ratio bounds are a min and a max. */
export interface PPOLossReport {
  readonly policyLoss: number;
  /** Clipped, with the factor 1/2. */
  readonly valueLoss: number;
  readonly entropy: number;
  readonly klK1: number;
  readonly klK3: number;
  readonly clipFraction: number;
  /** k3 estimate of KL(old‖new). */
  readonly approximateKl: number;
  readonly loss: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** Share of the computed tokens that only filled up rows. */
  readonly padding: number;
}

export interface CrossEntropyReport {
  /** Sum of the action tokens' negative log-probabilities, divided by the normalizer. */
  readonly loss: number;
  readonly tokens: number;
}

/** Scalars of one AdamW step: data for the compiled step, never baked into it. */
export interface OptimizerStep {
  readonly learningRate: number;
  /** Learning rate of the value head; `learningRate` if absent. */
  readonly valueLearningRate?: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Decay norms and biases too. */
  readonly decayAll?: boolean;
  /** Gradients are scaled down to this global norm; Infinity leaves them alone. */
  readonly maxGradientNorm: number;
}

/** A policy whose weights PPO and SFT can move. */
export interface TrainablePolicy extends Policy {
  /** Counts optimiser steps; travels with every action, so that stale samples can be told. */
  readonly version: number;
  readonly temperature: number;
  /** Of the sampling distribution, and of every log-probability; absent for the whole vocabulary. */
  readonly limits?: SupportLimits | undefined;
  /** Most tokens of an action, which a resumed run is held to. */
  readonly maxNewTokens?: number;
  /** How far rounding alone may take log-probabilities of generation and scoring apart; where absent, no further than single precision does. */
  readonly logProbRounding?: number;
  /** Scores with the current weights, or with the reference's. */
  score(sequences: readonly TrainingSequence[], options?: { reference?: boolean; signal?: AbortSignal }): Promise<ScoredSequence[]>;
  /**
   * Adds the gradient of the PPO loss over these sequences to the accumulated gradient. Splits into micro-batches as it sees fit. When
   * `signal` fires it ends after the one under way, and leaves what was added: {@link clearGradients} drops it.
   *
   * @throws `aborted`
   */
  accumulatePPO(sequences: readonly PPOSequence[], loss: PPOLossOptions, signal?: AbortSignal): Promise<PPOLossReport>;
  /** Adds the gradient of the masked cross-entropy to the accumulated gradient. The value head gets none. */
  accumulateCrossEntropy(sequences: readonly TrainingSequence[], normalizer: number, signal?: AbortSignal): Promise<CrossEntropyReport>;
  /** Applies the accumulated gradient and clears it. */
  update(step: OptimizerStep): Promise<{ readonly gradientNorm: number }>;
  /** Drops the accumulated gradient. */
  clearGradients(): Promise<void>;
  /** A new run begins: drops the Adam moments that an earlier one has left, and the count of their steps. */
  resetOptimizer(): Promise<void>;
  /**
   * Makes the current weights the reference π_ref. Without a call it is the base with LoRA, and otherwise the weights of the first time
   * that it was asked to score.
   */
  setReference(): Promise<void>;
  /** Everything that training changes: weights, Adam moments and step count, reference weights, version. Keys are stable names. */
  exportState(): Promise<PolicyTrainingState>;
  importState(state: PolicyTrainingState): Promise<void>;
  /** The token ids that this text has as an assistant's message, with the end-of-turn token: what SFT trains on. */
  encodeAssistant(text: string): Int32Array;
  /** The token ids of a prompt: messages by the chat template, then the assistant's opening. */
  encodePrompt(messages: readonly import('../chat/index').ChatMessage[]): Int32Array;
  /**
   * Identifies architecture, adapter, size of the vocabulary, and the weights that training leaves alone: a checkpoint of another model is
   * refused by it.
   */
  readonly fingerprint: string;
}

export interface PolicyTrainingState {
  readonly version: number;
  readonly optimizerStep: number;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}
