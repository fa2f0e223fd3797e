import type { Episode } from '../environment/index';
import type { PPOSequence, ScoredSequence, TrainablePolicy } from '../policy/index';
import { type AdvantageOptions, type AdvantageTurn, advantageMoments, dialogueAdvantages, type RewardScale, whiten } from './advantage';
import { type DialogueLayout, layOutDialogue, type SampledTurn } from './dialogue-layout';
import { assertFinite } from './finite';
import type { HistoryForm } from './sequences';

export interface ExperienceOptions extends AdvantageOptions {
  readonly history: HistoryForm;
  readonly maxStaleness: number;
  /** Observes this batch's rewards and divides them; absent for rewards as they are. */
  readonly rewardScale?: RewardScale;
  readonly signal?: AbortSignal;
}

/** One iteration's rollouts, ready for the PPO loss. */
export interface Experience {
  /** The sequences of each dialogue that has anything to train on. */
  readonly dialogues: readonly (readonly PPOSequence[])[];
  readonly trainableTokens: number;
  /** False when the advantages did not vary: the batch must be skipped. */
  readonly informative: boolean;
  readonly report: ExperienceReport;
}

/** Means over the trainable tokens, of the policy as it was when it sampled. */
export interface ExperienceReport {
  /** k1: log π − log π_ref. */
  readonly kl: number;
  readonly valueMean: number;
  readonly returnMean: number;
  /** Before whitening. */
  readonly advantageStd: number;
  /** 1 − Var(return − value) / Var(return); null when the returns do not vary. */
  readonly explainedVariance: number | null;
  /** Largest |log-probability when sampled − log-probability when scored| of samples of the current weights. */
  readonly maxLogProbDifference: number;
  /** Optimiser steps between the weights that sampled and the weights now: the largest. */
  readonly maxAge: number;
  readonly droppedStaleTurns: number;
  /** Dialogues that reached the turn limit and whose last turn was masked, because what would have come next could not be had or read. */
  readonly unknownNextStates: number;
}

/**
 * Scores the rollouts with the current weights and with the reference, and computes their advantages.
 *
 * The old log-probabilities of the loss are the scored ones, so that the ratio before the first step is exactly 1; how far they are
 * from those of the sampling is reported. A turn is masked when it has no verdict, when it is stale, and when what came after it is
 * unknown and its credit depends on it.
 *
 * @throws RlpaError `training-failed` when a dialogue's tokens cannot be laid out, and when a reward, a value, a log-probability or the
 *   deviation of the advantages is not finite
 */
export async function gatherExperience(
  episodes: readonly Episode[],
  policy: TrainablePolicy,
  options: ExperienceOptions,
): Promise<Experience> {
  assertFiniteRewards(episodes);
  const layouts = episodes.filter(({ turns }) => turns.length > 0).map((episode) => layOutDialogue(episode, policy, options.history));
  const { signal, rewardScale } = options;
  const flat = layouts.flatMap(({ sequences }) => sequences);
  const scores = await policy.score(
    flat.map(({ scored }) => scored),
    { signal },
  );
  // The probe for the next state's value is of no use to the reference.
  const references = await policy.score(
    flat
      .filter(({ length }) => length > 0)
      .map(({ scored, length }) => ({ tokens: scored.tokens.subarray(0, length), actionMask: scored.actionMask.subarray(0, length) })),
    { reference: true, signal },
  );
  for (const { logProbs, values } of scores) {
    assertAllFinite('log-probability of a token', logProbs);
    assertAllFinite('value before a token', values);
  }
  for (const { logProbs } of references) assertAllFinite("reference's log-probability of a token", logProbs);
  const referenceOf = new Map(flat.filter(({ length }) => length > 0).map((sequence, i) => [sequence, references[i]!.logProbs]));
  for (const { turns, alternatives } of layouts) {
    for (const { reward } of [...turns, ...alternatives]) if (reward.status !== 'unjudged') rewardScale?.observe(reward.total);
  }

  const dialogues: PPOSequence[][] = [];
  const age = { max: 0, dropped: 0 };
  let maxLogProbDifference = 0;
  let first = 0;
  for (const layout of layouts) {
    const scored = scores.slice(first, first + layout.sequences.length);
    const reference = layout.sequences.map((sequence) => referenceOf.get(sequence) ?? new Float32Array(0));
    first += layout.sequences.length;
    for (const turn of [...layout.turns, ...layout.alternatives]) {
      const turnAge = policy.version - turn.tokens.version;
      age.max = Math.max(age.max, turnAge);
      if (turnAge > options.maxStaleness) age.dropped++;
      if (turnAge === 0) maxLogProbDifference = Math.max(maxLogProbDifference, logProbDifference(turn, scored));
    }
    const usable = (turn: SampledTurn) => policy.version - turn.tokens.version <= options.maxStaleness;
    const sequences = trainingSequences(layout, scored, reference, usable, options);
    if (sequences.length > 0) dialogues.push(sequences);
  }

  const batch = dialogues.flat();
  const moments = advantageMoments(batch);
  const report: ExperienceReport = {
    ...summarize(batch, moments.tokens),
    advantageStd: moments.std,
    maxLogProbDifference,
    maxAge: age.max,
    droppedStaleTurns: age.dropped,
    unknownNextStates: options.credit === 'turn' ? 0 : episodes.filter(isNextStateUnknown).length,
  };
  return { dialogues, trainableTokens: moments.tokens, informative: whiten(batch), report };
}

/** At the turn limit: dialogues that ended before it are counted as what they are. */
function isNextStateUnknown({ end, tooLong, nextState }: Episode): boolean {
  return end === 'truncated' && !tooLong && nextState === undefined;
}

function assertFiniteRewards(episodes: readonly Episode[]): void {
  for (const { id, turns } of episodes) {
    for (const { turn, reward, alternatives = [] } of turns) {
      for (const { status, total } of [reward, ...alternatives.map((alternative) => alternative.reward)]) {
        if (status === 'unjudged') continue;
        assertFinite(
          `reward of turn ${turn} of dialogue ${id}`,
          total,
          "Look at the environment's reward: a verdict without one is 'unjudged'.",
        );
      }
    }
  }
}

function assertAllFinite(what: string, numbers: Float32Array): void {
  for (const number of numbers)
    assertFinite(what, number, 'Start from other weights, with a lower learning rate if training made them so.');
}

/** Sequences of one dialogue with advantages that are not yet whitened; those without a trainable token are left out. */
function trainingSequences(
  layout: DialogueLayout,
  scored: readonly ScoredSequence[],
  reference: readonly Float32Array[],
  usable: (turn: SampledTurn) => boolean,
  options: ExperienceOptions,
): PPOSequence[] {
  const { turns, alternatives, after } = layout;
  const out = layout.sequences.map(({ scored: { tokens }, length }, s) => ({
    tokens: tokens.subarray(0, length),
    actionMask: new Uint8Array(length),
    oldLogProbs: scored[s]!.logProbs.subarray(0, length),
    referenceLogProbs: reference[s]!,
    oldValues: scored[s]!.values.subarray(0, length),
    advantages: new Float32Array(length),
    returns: new Float32Array(length),
  }));
  const divisor = options.rewardScale?.divisor ?? 1;
  const asAdvantageTurn = ({ span, reward }: SampledTurn): AdvantageTurn => {
    const from = span.start;
    const to = span.start + span.length;
    const { oldLogProbs, referenceLogProbs, oldValues } = out[span.sequence]!;
    const kl = Array.from(oldLogProbs.subarray(from, to), (logProb, i) => logProb - referenceLogProbs[from + i]!);
    return { values: oldValues.subarray(from, to), kl, reward: reward.status === 'unjudged' ? undefined : reward.total / divisor };
  };
  const place = ({ span }: SampledTurn, result: ReturnType<typeof dialogueAdvantages>[number]) => {
    const { actionMask, advantages, returns } = out[span.sequence]!;
    actionMask.fill(1, span.start, span.start + span.length);
    advantages.set(result.advantages, span.start);
    returns.set(result.returns, span.start);
  };

  const { gamma, lambda, klCoefficient, credit } = options;
  const estimation: AdvantageOptions = { gamma, lambda, klCoefficient, credit };
  const chain = turns.map(asAdvantageTurn);
  const valueAfter = after === 'end' ? 0 : after === 'unknown' ? undefined : scored[after.sequence]!.values[after.start]!;
  const trainable = (turn: SampledTurn, followed: boolean) =>
    usable(turn) && turn.reward.status !== 'unjudged' && (followed || credit === 'turn');
  for (const [t, result] of dialogueAdvantages(chain, valueAfter, estimation).entries()) {
    if (trainable(turns[t]!, t < turns.length - 1 || valueAfter !== undefined)) place(turns[t]!, result);
  }
  for (const alternative of alternatives) {
    // What would have followed it was never seen: the state that followed its sibling stands in.
    const next = chain[alternative.insteadOf + 1]?.values[0] ?? valueAfter;
    const [result] = dialogueAdvantages([asAdvantageTurn(alternative)], next, estimation);
    if (trainable(alternative, next !== undefined)) place(alternative, result!);
  }
  return out.filter(({ actionMask }) => actionMask.includes(1));
}

function logProbDifference({ span, tokens }: SampledTurn, scored: readonly ScoredSequence[]): number {
  const { logProbs } = scored[span.sequence]!;
  let largest = 0;
  for (let i = 0; i < span.length; i++) largest = Math.max(largest, Math.abs(tokens.logProbs[i]! - logProbs[span.start + i]!));
  return largest;
}

function summarize(
  batch: readonly PPOSequence[],
  tokens: number,
): Pick<ExperienceReport, 'kl' | 'valueMean' | 'returnMean' | 'explainedVariance'> {
  const mean = (of: (sequence: PPOSequence, t: number) => number) => {
    let sum = 0;
    for (const sequence of batch) for (let t = 0; t < sequence.tokens.length; t++) if (sequence.actionMask[t]) sum += of(sequence, t);
    return tokens === 0 ? 0 : sum / tokens;
  };
  const valueMean = mean(({ oldValues }, t) => oldValues[t]!);
  const returnMean = mean(({ returns }, t) => returns[t]!);
  const variance = mean(({ returns }, t) => (returns[t]! - returnMean) ** 2);
  const residual = mean(({ returns, oldValues }, t) => (returns[t]! - oldValues[t]! - (returnMean - valueMean)) ** 2);
  return {
    kl: mean(({ oldLogProbs, referenceLogProbs }, t) => oldLogProbs[t]! - referenceLogProbs[t]!),
    valueMean,
    returnMean,
    explainedVariance: variance > 1e-12 ? 1 - residual / variance : null,
  };
}
