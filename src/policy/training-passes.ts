import type { Device, NumberArray, Program } from '../device/index';
import { RlpaError, throwIfAborted } from '../errors';
import type { Graph } from '../tensor/index';
import { type Batch, type BatchLayout, gatherActions, planBatches, spreadActions } from './batch';
import { reportPPOLoss } from './losses';
import type { PolicyBuffers } from './policy-buffers';
import type { ProgramCache } from './program-cache';
import { crossEntropyGraph, type ModelForm, type ParameterGroup, ppoGraph, scoreGraph, updateGraph } from './programs';
import type {
  CrossEntropyReport,
  OptimizerStep,
  PPOLossOptions,
  PPOLossReport,
  PPOSequence,
  ScoredSequence,
  TrainingSequence,
} from './trainable-policy';
import type { WeightsLock } from './weights-lock';

export interface TrainingPassesHost {
  readonly device: Device;
  readonly programs: ProgramCache;
  readonly form: ModelForm;
  readonly buffers: PolicyBuffers;
  readonly layout: BatchLayout;
  readonly microBatchTokens: number;
  /** Of the distribution whose log-probabilities are computed. */
  readonly temperature: number;
  readonly lock: WeightsLock;
}

/** A model's passes over whole sequences, forward to score them and backward to learn from them, and the optimiser's steps. */
export class TrainingPasses {
  readonly #host: TrainingPassesHost;

  constructor(host: TrainingPassesHost) {
    this.#host = host;
  }

  /** @param reference by the reference's weights: those that were set aside, or the base without its adapter */
  async score(sequences: readonly TrainingSequence[], reference: boolean, signal?: AbortSignal): Promise<ScoredSequence[]> {
    const { device, buffers } = this.#host;
    const results: { -readonly [K in keyof ScoredSequence]: Float32Array }[] = sequences.map(({ tokens }) => ({
      logProbs: new Float32Array(tokens.length),
      values: new Float32Array(tokens.length),
      entropies: new Float32Array(tokens.length),
    }));
    const form: ModelForm = reference && !buffers.hasReference ? { ...this.#host.form, lora: undefined } : this.#host.form;
    await this.#overBatches(sequences, signal, async (batch) => {
      const program = await this.#program(signal, `score ${batchKey(batch)} ${form.lora !== undefined}`, () =>
        scoreGraph(form, shapeOf(batch)),
      );
      const weights = reference ? buffers.referenceWeights : buffers.weights;
      const found = await device.run(program, { inputs: this.#tokenInputs(batch), buffers: weights });
      for (const part of ['logProbs', 'values', 'entropies'] as const) {
        spreadActions(batch, sequences, found[part] as Float32Array, (sequence, data) => {
          results[sequence]![part] = data;
        });
      }
    });
    return results;
  }

  async accumulatePPO(sequences: readonly PPOSequence[], loss: PPOLossOptions, signal?: AbortSignal): Promise<PPOLossReport> {
    const { device, form, buffers } = this.#host;
    const tokens: Parameters<typeof reportPPOLoss>[0][] = [];
    let computed = 0;
    const scalars = Object.fromEntries(
      (['clip', 'valueClip', 'valueCoefficient', 'entropyCoefficient', 'klLossCoefficient'] as const).map((name) => [
        name,
        Float32Array.of(loss[name]),
      ]),
    );
    await this.#overBatches(sequences, signal, async (batch) => {
      const program = await this.#program(signal, `ppo ${batchKey(batch)} ${loss.klLoss}`, () =>
        ppoGraph(form, shapeOf(batch), loss.klLoss, buffers.trainable),
      );
      const column = (read: (sequence: PPOSequence) => Float32Array) => gatherActions(batch, sequences, read);
      const columns = {
        oldLogProbs: column((s) => s.oldLogProbs),
        referenceLogProbs: column((s) => s.referenceLogProbs),
        oldValues: column((s) => s.oldValues),
        advantages: column((s) => s.advantages),
        returns: column((s) => s.returns),
      };
      const found = await device.run(program, {
        inputs: { ...this.#tokenInputs(batch), ...columns, ...scalars, weights: tokenWeights(batch, loss.normalizer) },
        buffers: buffers.forTraining(),
      });
      computed += batch.tokens.length;
      tokens.push(
        Array.from({ length: batch.count }, (_, i) => ({
          logProb: found.logProbs![i]!,
          entropy: found.entropies![i]!,
          value: found.values![i]!,
          oldLogProb: columns.oldLogProbs[i]!,
          referenceLogProb: columns.referenceLogProbs[i]!,
          oldValue: columns.oldValues[i]!,
          advantage: columns.advantages[i]!,
          return: columns.returns[i]!,
        })),
      );
    });
    return reportPPOLoss(
      (function* () {
        for (const part of tokens) yield* part;
      })(),
      loss,
      computed === 0 ? 0 : 1 - sequences.reduce((sum, sequence) => sum + sequence.tokens.length, 0) / computed,
    );
  }

  async accumulateCrossEntropy(
    sequences: readonly TrainingSequence[],
    normalizer: number,
    signal?: AbortSignal,
  ): Promise<CrossEntropyReport> {
    const { device, form, buffers } = this.#host;
    let loss = 0;
    let tokens = 0;
    await this.#overBatches(sequences, signal, async (batch) => {
      const program = await this.#program(signal, `sft ${batchKey(batch)}`, () =>
        crossEntropyGraph(form, shapeOf(batch), buffers.trainable),
      );
      const found = await device.run(program, {
        inputs: { ...this.#tokenInputs(batch), weights: tokenWeights(batch, normalizer) },
        buffers: buffers.forTraining(),
      });
      loss += found.loss![0]!;
      tokens += batch.count;
    });
    return { loss, tokens };
  }

  /**
   * One AdamW step with what was accumulated, which is cleared. Whoever calls has the weights to itself.
   *
   * @param t the step's number, from 1
   * @returns the norm of the gradient before it was clipped
   */
  async update(step: OptimizerStep, t: number): Promise<number> {
    const { device, programs, buffers } = this.#host;
    const [beta1, beta2] = step.betas;
    const scalars = (learningRate: number, weightDecay: number) =>
      Float32Array.of(learningRate, beta1, beta2, step.epsilon, weightDecay, 1 - beta1 ** t, 1 - beta2 ** t);
    const groupOf = (name: string): ParameterGroup =>
      name.startsWith('value_head.') ? 'value' : name.endsWith('.bias') || name.includes('norm') ? 'plain' : 'decayed';
    const bound = buffers.forTraining();
    const program = await programs.get('update', () => updateGraph(buffers.trainable, groupOf));
    const { norm } = await device.run(program, {
      inputs: {
        limit: Float32Array.of(Math.min(step.maxGradientNorm, 3e38)),
        decayed: scalars(step.learningRate, step.weightDecay),
        plain: scalars(step.learningRate, step.decayAll ? step.weightDecay : 0),
        value: scalars(step.valueLearningRate ?? step.learningRate, step.decayAll ? step.weightDecay : 0),
      },
      buffers: bound,
    });
    buffers.clearGradients();
    return norm![0]!;
  }

  #tokenInputs(batch: Batch): Record<string, NumberArray> {
    const { tokens, positions, segments, predictors, targets } = batch;
    const temperature = Float32Array.of(this.#host.temperature);
    return { tokens, positions, predictors, targets, ...(segments ? { segments } : {}), temperature };
  }

  async #overBatches(
    sequences: readonly TrainingSequence[],
    signal: AbortSignal | undefined,
    run: (batch: Batch) => Promise<void>,
  ): Promise<void> {
    const { form, layout, microBatchTokens, lock } = this.#host;
    const { maxPositions } = form.config;
    for (const { tokens, actionMask } of sequences) {
      if (tokens.length !== actionMask.length || tokens.length > maxPositions) {
        throw new RlpaError(
          'training-failed',
          `A sequence of ${tokens.length} tokens and a mask of ${actionMask.length} does not fit a model of ${maxPositions} positions.`,
        );
      }
    }
    for (const batch of planBatches(sequences, layout, microBatchTokens)) {
      await lock.alone(signal, async () => {
        await run(batch);
        throwIfAborted(signal);
      });
    }
  }

  /** Making a program can take as long as running it: a call that was aborted meanwhile does not begin to run. */
  async #program(signal: AbortSignal | undefined, key: string, build: () => Graph | Promise<Graph>): Promise<Program> {
    const program = await this.#host.programs.get(key, build);
    throwIfAborted(signal);
    return program;
  }
}

function shapeOf(batch: Batch) {
  return { rows: batch.rows, length: batch.length, actions: batch.predictors.length, segmented: batch.segments !== undefined };
}

function batchKey(batch: Batch): string {
  return `${batch.rows}x${batch.length}x${batch.predictors.length}${batch.segments ? ' segmented' : ''}`;
}

function tokenWeights(batch: Batch, normalizer: number): Float32Array {
  return new Float32Array(batch.predictors.length).fill(1 / normalizer, 0, batch.count);
}
