import { throwIfAborted } from '../errors';
import { mean } from '../mean';
import type { PPOLossOptions, PPOLossReport, PPOSequence, TrainablePolicy } from '../policy/index';
import type { Random } from '../random';
import { assertFinite } from './finite';
import { optimizerStep } from './optimizer';
import type { PPOHyperparameters } from './ppo-options';

/** Where in the run an iteration's optimiser steps lie, for the schedule. */
export interface UpdatePlan {
  /** 0-based number of the iteration's first planned step. */
  readonly firstStep: number;
  /** Planned steps of the whole run. Steps that an early stop leaves out still count, so that a step's rate depends on its iteration alone. */
  readonly totalSteps: number;
  /** Move the value head only. */
  readonly valueOnly: boolean;
  readonly klCoefficient: number;
  /** Called before each step: from then on the weights are no longer those that the iteration began with. */
  readonly onStep?: () => void;
}

/**
 * Means over the loss evaluations of an iteration; ratio bounds are a min and a max. Null where there was nothing to measure: in an iteration
 * that was skipped, and of steps where none was taken.
 */
export interface UpdateReport extends Readonly<Record<keyof PPOLossReport, number | null>> {
  readonly gradientNorm: number | null;
  readonly updates: number;
  readonly stoppedEarly: boolean;
  /** Rates of the last step that was taken. */
  readonly learningRate: number | null;
  readonly valueLearningRate: number | null;
}

/** The report of an iteration that was skipped. */
export const noUpdate: UpdateReport = {
  policyLoss: null,
  valueLoss: null,
  entropy: null,
  klK1: null,
  klK3: null,
  clipFraction: null,
  approximateKl: null,
  loss: null,
  ratioMin: null,
  ratioMax: null,
  padding: null,
  gradientNorm: null,
  updates: 0,
  stoppedEarly: false,
  learningRate: null,
  valueLearningRate: null,
};

/**
 * Epochs over an iteration's dialogues in shuffled minibatches. The loss of each step is normalised by its own number of trainable
 * tokens. The epochs end before a step at which the approximate KL to the sampling policy exceeds `stopKl`.
 *
 * @throws RlpaError `training-failed` when the loss or the gradient is not finite, `aborted`
 */
export async function updateWithPPO(
  policy: TrainablePolicy,
  dialogues: readonly (readonly PPOSequence[])[],
  options: PPOHyperparameters,
  plan: UpdatePlan,
  random: Random,
  signal?: AbortSignal,
): Promise<UpdateReport> {
  const reports: PPOLossReport[] = [];
  const norms: number[] = [];
  let stoppedEarly = false;
  let rates: Pick<UpdateReport, 'learningRate' | 'valueLearningRate'> = { learningRate: null, valueLearningRate: null };
  await policy.clearGradients(); // an aborted iteration may have left some
  for (let epoch = 0; epoch < options.epochs && !stoppedEarly; epoch++) {
    const batches = divide(random.split('epoch', epoch).shuffle(dialogues), options.minibatches);
    for (const [index, batch] of batches.entries()) {
      throwIfAborted(signal);
      const report = await policy.accumulatePPO(batch, lossOptions(batch, options, plan.klCoefficient), signal);
      assertFinite('loss', report.loss);
      reports.push(report);
      if (report.approximateKl > options.stopKl) {
        await policy.clearGradients();
        stoppedEarly = true;
        break;
      }
      const scheduled = optimizerStep(options, plan.firstStep + epoch * options.minibatches + index, plan.totalSteps);
      const step = plan.valueOnly ? { ...scheduled, learningRate: 0 } : scheduled;
      plan.onStep?.();
      const { gradientNorm } = await policy.update(step);
      assertFinite('gradient norm', gradientNorm);
      norms.push(gradientNorm);
      rates = { learningRate: step.learningRate, valueLearningRate: step.valueLearningRate };
    }
  }
  return { ...averageReports(reports), gradientNorm: mean(norms), updates: norms.length, stoppedEarly, ...rates };
}

function lossOptions(batch: readonly PPOSequence[], options: PPOHyperparameters, klCoefficient: number): PPOLossOptions {
  return {
    clip: options.clip,
    valueClip: options.valueClip,
    valueCoefficient: options.valueCoefficient,
    entropyCoefficient: options.entropyCoefficient,
    klLossCoefficient: options.kl === 'reward' ? 0 : klCoefficient,
    klLoss: options.kl === 'reward' ? 'k3' : options.kl,
    normalizer: batch.reduce((tokens, { actionMask }) => tokens + actionMask.reduce((sum, bit) => sum + bit, 0), 0),
  };
}

/** `parts` batches of nearly equal numbers of dialogues; fewer when there are fewer dialogues. */
function divide(dialogues: readonly (readonly PPOSequence[])[], parts: number): PPOSequence[][] {
  const count = Math.min(parts, dialogues.length);
  const bound = (part: number) => Math.floor((part * dialogues.length) / count);
  return Array.from({ length: count }, (_, part) => dialogues.slice(bound(part), bound(part + 1)).flat());
}

function averageReports(reports: readonly PPOLossReport[]): Pick<UpdateReport, keyof PPOLossReport> {
  const meanOf = (key: keyof PPOLossReport) => mean(reports.map((report) => report[key]));
  return {
    policyLoss: meanOf('policyLoss'),
    valueLoss: meanOf('valueLoss'),
    entropy: meanOf('entropy'),
    klK1: meanOf('klK1'),
    klK3: meanOf('klK3'),
    clipFraction: meanOf('clipFraction'),
    approximateKl: meanOf('approximateKl'),
    loss: meanOf('loss'),
    ratioMin: Math.min(...reports.map(({ ratioMin }) => ratioMin)),
    ratioMax: Math.max(...reports.map(({ ratioMax }) => ratioMax)),
    padding: meanOf('padding'),
  };
}
