import { EventEmitter } from 'eventemitter3';
import type { ChatMessage } from '../chat/index';
import { abortedError, RlpaError, throwIfAborted } from '../errors';
import type { Optional } from '../optional';
import type { TrainablePolicy, TrainingSequence } from '../policy/index';
import { Random } from '../random';
import { TimeSlice } from '../time-slice';
import { type CheckpointStore, type MetricsLog, RunRecord } from './checkpoint';
import { assertFinite } from './finite';
import { type OptimizerOptions, optimizerRules, optimizerStep } from './optimizer';
import {
  abortSignal,
  aFunction,
  checkOptions,
  checkpointStore,
  givenOptions,
  listOf,
  metricsLog,
  type OptionRule,
  oneOf,
  optional,
  rule,
  trainablePolicy,
} from './options';
import { describeChanges, describeOptions, type RunOptions } from './run-options';
import { joinTurns, maskOf, type TokenTurn } from './sequences';

/** A dialogue whose assistant messages are to be learnt. */
export interface SFTExample {
  /** In the form in which the policy reads them in the environment: assistant messages hold what it is to write, profile block included. */
  readonly messages: readonly ChatMessage[];
  /** `all` assistant messages are learnt (the default), or only the `last`: for histories that are rewritten from turn to turn. */
  readonly targets?: 'all' | 'last';
}

export interface SFTHyperparameters extends OptimizerOptions {
  readonly seed: number;
  readonly epochs: number;
  /** Dialogues an optimiser step. */
  readonly batchSize: number;
  /** Instead of `batchSize`: as many dialogues as have at most this many tokens together, but at least one. */
  readonly batchTokens?: number | undefined;
  /** The run ends after this many steps even if epochs are left. */
  readonly maxSteps?: number | undefined;
  /** A checkpoint every so many steps, and after the last. */
  readonly checkpointEvery: number;
}

export interface SFTTrainerOptions extends Optional<SFTHyperparameters> {
  readonly policy: TrainablePolicy;
  readonly examples: readonly SFTExample[];
  readonly checkpoints?: CheckpointStore | undefined;
  readonly metricsLog?: MetricsLog | undefined;
  /** Milliseconds, for the timing metrics only. */
  readonly now?: (() => number) | undefined;
}

export interface SFTTrainOptions {
  /** Go on from the latest checkpoint of the store, if there is one. */
  readonly resume?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SFTMetrics {
  /** 1-based. */
  readonly step: number;
  /** 1-based. */
  readonly epoch: number;
  /** Mean negative log-probability of the learnt tokens, in nats, before the step. */
  readonly loss: number;
  /** Learnt tokens in the step. */
  readonly trainableTokens: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly version: number;
  readonly seconds: number;
  /** Tokens, prompts included, a second. */
  readonly tokensPerSecond: number;
}

export interface SFTTrainerEvents {
  step: (event: { readonly step: number; readonly steps: number; readonly metrics: SFTMetrics }) => void;
  checkpoint: (event: { readonly step: number; readonly location: string }) => void;
  /** A resumed run has other options, or another number of examples, than the one that was stopped, or a checkpoint that is not whole. */
  warning: (event: { readonly code: 'options-changed' | 'damaged-checkpoint'; readonly message: string; readonly step: number }) => void;
}

/** What {@link SFTTrainer} uses unless told otherwise: for policies of up to some ten million parameters. */
export const sftDefaults: SFTHyperparameters = {
  seed: 0,
  epochs: 1,
  batchSize: 32,
  learningRate: 1e-3,
  schedule: 'cosine',
  warmup: 0.03,
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  weightDecay: 0,
  decayAll: false,
  maxGradientNorm: 1,
  checkpointEvery: 100,
};

/**
 * Teaches a policy to write given assistant messages: cross-entropy on their tokens alone. A dialogue becomes the same token sequences
 * that rollouts would make of it.
 *
 * Events: `step`, `checkpoint`, `warning`.
 *
 * @throws RlpaError `invalid-option`, naming the option or the example, what was expected and what was found
 * @example
 * import { formatTurn, LocalPolicy, ProfileSchema, SFTTrainer } from 'rlpa';
 * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { lora: { rank: 16 } });
 * const content = formatTurn(ProfileSchema.standard.profile({ occupation: 'nurse' }), 'How was the shift?');
 * const examples = [{ messages: [{ role: 'user', content: 'I am a nurse.' }, { role: 'assistant', content }] }] as const;
 * const trainer = new SFTTrainer({ policy, examples, epochs: 2, learningRate: 1e-3 });
 * trainer.on('step', ({ step, steps, metrics }) => console.log(`${step}/${steps}`, metrics.loss));
 * await trainer.train();
 * await policy.setReference();
 */
export class SFTTrainer extends EventEmitter<SFTTrainerEvents> {
  readonly options: SFTHyperparameters;
  readonly #policy: TrainablePolicy;
  readonly #examples: readonly SFTExample[];
  readonly #record: RunRecord;
  readonly #now: () => number;
  #step = 0;
  #running = false;

  constructor(options: SFTTrainerOptions) {
    super();
    const all = { ...sftDefaults, ...givenOptions(options) };
    checkOptions('SFTTrainer', all, trainerRules);
    const { policy, examples, checkpoints, metricsLog: log, now, ...hyperparameters } = all;
    for (const [index, example] of examples.entries()) assertExample(example, index);
    this.options = hyperparameters;
    this.#policy = policy;
    this.#examples = examples;
    this.#record = new RunRecord({ kind: 'sft', policy, checkpoints, log });
    this.#now = now ?? (() => performance.now());
  }

  /** Optimiser steps that are done. */
  get step(): number {
    return this.#step;
  }

  /**
   * Trains to the end of the last epoch, or of `maxSteps`.
   *
   * @throws RlpaError `aborted`, `invalid-option`, `invalid-checkpoint`, `training-failed` when the loss or the gradient is not finite.
   *   The last checkpoint is usable in every case.
   */
  async train(options: SFTTrainOptions = {}): Promise<void> {
    checkOptions('SFTTrainer.train', options, trainRules);
    if (this.#running) throw new RlpaError('training-failed', 'This trainer is already training.');
    const { signal } = options;
    this.#running = true;
    try {
      throwIfAborted(signal);
      if (options.resume) await this.#resume();
      else if (this.#step === 0) await this.#record.assertFresh();
      const sequences = await this.#encode(signal);
      const batches = this.#plan(sequences);
      if (this.#step === 0) {
        await this.#policy.resetOptimizer();
        await this.#save();
      }
      await this.#policy.clearGradients(); // an aborted step may have left some
      while (this.#step < batches.length) {
        throwIfAborted(signal);
        await this.#take(batches, sequences, signal);
      }
    } catch (error) {
      throw signal?.aborted ? abortedError(signal) : error;
    } finally {
      this.#running = false;
    }
  }

  async #resume(): Promise<void> {
    const { checkpoint, damaged } = await this.#record.resume(this.#step > 0);
    this.#step = checkpoint?.position ?? 0;
    for (const message of damaged) this.emit('warning', { code: 'damaged-checkpoint', message, step: this.#step });
    if (checkpoint === undefined) return;
    const state = checkpoint.trainer as unknown as Partial<TrainerState>;
    const message = describeChanges(state.options, this.#describeOptions());
    if (message !== undefined) this.emit('warning', { code: 'options-changed', message, step: this.#step });
  }

  /** The sequences of every example. Thousands of examples take seconds: others get their turn meanwhile, and the signal can fire. */
  async #encode(signal?: AbortSignal): Promise<TrainingSequence[][]> {
    const slice = new TimeSlice();
    const sequences: TrainingSequence[][] = [];
    for (const example of this.#examples) {
      if (slice.isOver) await slice.next();
      throwIfAborted(signal);
      sequences.push(exampleSequences(example, this.#policy));
    }
    return sequences;
  }

  /** The batches of the whole run, as indices of examples: a function of options and examples alone, so that resuming needs the step only. */
  #plan(sequences: readonly (readonly TrainingSequence[])[]): Batch[] {
    const { seed, epochs, batchSize, batchTokens, maxSteps } = this.options;
    const random = new Random(seed).split('sft');
    const batches: Batch[] = [];
    for (let epoch = 1; epoch <= epochs; epoch++) {
      let open: number[] = [];
      let tokens = 0;
      for (const index of random.split('epoch', epoch).shuffle([...sequences.keys()])) {
        const length = sequences[index]!.reduce((sum, sequence) => sum + sequence.tokens.length, 0);
        const full = batchTokens === undefined ? open.length >= batchSize : tokens + length > batchTokens;
        if (full && open.length > 0) {
          batches.push({ epoch, examples: open });
          open = [];
          tokens = 0;
        }
        open.push(index);
        tokens += length;
      }
      batches.push({ epoch, examples: open });
    }
    return maxSteps === undefined ? batches : batches.slice(0, maxSteps);
  }

  async #take(batches: readonly Batch[], sequences: readonly (readonly TrainingSequence[])[], signal?: AbortSignal): Promise<void> {
    const started = this.#now();
    const { epoch, examples } = batches[this.#step]!;
    const batch = examples.flatMap((index) => sequences[index]!);
    const normalizer = batch.reduce((sum, { actionMask }) => sum + actionMask.reduce((bits, bit) => bits + bit, 0), 0);
    const { loss } = await this.#policy.accumulateCrossEntropy(batch, normalizer, signal);
    assertFinite(`loss of step ${this.#step + 1}`, loss);
    const scheduled = optimizerStep(this.options, this.#step, batches.length);
    const { gradientNorm } = await this.#policy.update(scheduled);
    assertFinite(`gradient norm of step ${this.#step + 1}`, gradientNorm);
    const seconds = (this.#now() - started) / 1000;
    this.#step++;
    const metrics: SFTMetrics = {
      step: this.#step,
      epoch,
      loss,
      trainableTokens: normalizer,
      learningRate: scheduled.learningRate,
      gradientNorm,
      version: this.#policy.version,
      seconds,
      tokensPerSecond: batch.reduce((sum, { tokens }) => sum + tokens.length, 0) / seconds,
    };
    await this.#record.log(this.#step, metrics);
    this.emit('step', { step: this.#step, steps: batches.length, metrics });
    if (this.#step % this.options.checkpointEvery === 0 || this.#step === batches.length) await this.#save();
  }

  async #save(): Promise<void> {
    const state: TrainerState = { options: this.#describeOptions() };
    const location = await this.#record.save(this.#step, { ...state });
    if (location !== undefined) this.emit('checkpoint', { step: this.#step, location });
  }

  #describeOptions(): RunOptions {
    return describeOptions({ ...this.options, examples: this.#examples.length }, this.#policy);
  }
}

/** What a checkpoint keeps of the trainer, besides the policy and the number of steps. */
interface TrainerState {
  readonly options: RunOptions;
}

interface Batch {
  /** 1-based. */
  readonly epoch: number;
  /** Indices of examples. */
  readonly examples: readonly number[];
}

const trainerRules: Record<keyof SFTTrainerOptions, OptionRule> = {
  ...optimizerRules,
  seed: rule.countOrZero,
  epochs: rule.count,
  batchSize: rule.count,
  batchTokens: optional(rule.count),
  maxSteps: optional(rule.count),
  checkpointEvery: rule.count,
  policy: trainablePolicy,
  examples: listOf('example'),
  checkpoints: optional(checkpointStore),
  metricsLog: optional(metricsLog),
  now: optional(aFunction),
};

const trainRules: Record<keyof SFTTrainOptions, OptionRule> = { resume: optional(rule.boolean), signal: optional(abortSignal) };

function assertExample(example: SFTExample, index: number): void {
  const found = (expected: string, was: string) =>
    new RlpaError('invalid-option', `SFTTrainer, examples[${index}]: expected ${expected}, found ${was}.`, { option: 'examples', index });
  if (!Array.isArray(example?.messages)) throw found('an object with a list of messages', typeof example);
  const last = example.messages.at(-1);
  if (last?.role !== 'assistant') throw found('messages that end with the assistant', last === undefined ? 'none' : `the ${last.role}`);
  const targets = oneOf('all', 'last');
  if (example.targets !== undefined && !targets.accepts(example.targets))
    throw found(`targets ${targets.expected}`, String(example.targets));
}

/** The sequences that rollouts of this dialogue would give: what was written earlier is read back as the tokens that were learnt. */
export function exampleSequences(
  { messages, targets = 'all' }: SFTExample,
  policy: Pick<TrainablePolicy, 'encodePrompt' | 'encodeAssistant'>,
): TrainingSequence[] {
  const read: ChatMessage[] = [];
  const turns: TokenTurn[] = [];
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'assistant') {
      read.push(message);
      continue;
    }
    const completion = message.tokens === undefined ? policy.encodeAssistant(message.content) : Int32Array.from(message.tokens);
    if (targets === 'all' || index === messages.length - 1) turns.push({ prompt: policy.encodePrompt(read), completion });
    read.push({ ...message, tokens: Array.from(completion) });
  }
  const { sequences, spans } = joinTurns(turns, 'any');
  return sequences.map((tokens, s) => ({ tokens, actionMask: maskOf(tokens.length, spans, s) }));
}
