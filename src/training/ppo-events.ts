import type { Episode } from '../environment/index';
import type { PPOMetrics } from './ppo-metrics';
import type { PPOHyperparameters } from './ppo-options';

export type TrainingWarningCode =
  /** Advantages did not vary: the iteration changed nothing. */
  | 'skipped-iteration'
  /** Some dialogues broke off because their user could not be had. */
  | 'failed-episodes'
  /** Some dialogues had grown longer than the policy can read and were truncated. */
  | 'too-long-episodes'
  /** Some dialogues reached the turn limit, but what would have come next could not be had or read: their last turns were masked. */
  | 'unknown-next-states'
  /** Some turns had no verdict and were masked. */
  | 'unjudged-turns'
  /** Some samples were older than allowed and were dropped. */
  | 'stale-samples'
  /** Generation and scoring disagree by more than rounding explains. */
  | 'generation-mismatch'
  /** No dialogue ends by itself and nothing is discounted: values grow without bound. */
  | 'unbounded-values'
  /** A resumed run has other options than the one that was stopped. */
  | 'options-changed'
  /** A checkpoint is not whole: the resumed run goes on from an earlier one. */
  | 'damaged-checkpoint';

export interface TrainingWarning {
  readonly code: TrainingWarningCode;
  readonly message: string;
  /** 1-based. */
  readonly iteration: number;
}

export interface PPOTrainerEvents {
  rollout: (event: {
    readonly iteration: number;
    readonly iterations: number;
    readonly episodes: readonly Episode[];
    readonly seconds: number;
  }) => void;
  iteration: (event: { readonly iteration: number; readonly iterations: number; readonly metrics: PPOMetrics }) => void;
  checkpoint: (event: { readonly iteration: number; readonly location: string }) => void;
  warning: (event: TrainingWarning) => void;
}

/**
 * What an iteration's metrics should make one look at.
 *
 * @param logProbRounding the policy's; by default what the order of float32 sums explains
 */
export function metricWarnings(
  metrics: PPOMetrics,
  { gamma, credit }: PPOHyperparameters,
  logProbRounding = 1e-2,
): [code: TrainingWarningCode, message: string][] {
  const { episodes, failedEpisodes, tooLongEpisodes, unknownNextStates } = metrics;
  const { turns, unjudgedTurns, droppedStaleTurns, maxAge, maxLogProbDifference } = metrics;
  const warnings: [TrainingWarningCode, string, boolean][] = [
    ['skipped-iteration', 'All advantages were equal: the iteration changed nothing.', metrics.skipped],
    ['failed-episodes', `${failedEpisodes} of ${episodes} dialogues broke off; the turns before were used.`, failedEpisodes > 0],
    [
      'too-long-episodes',
      `${tooLongEpisodes} of ${episodes} dialogues grew longer than the policy can read and ended there.`,
      tooLongEpisodes > 0,
    ],
    [
      'unknown-next-states',
      `${unknownNextStates} of ${episodes} dialogues reached the turn limit, but what would have come next could not be had or read; their last turns were masked.`,
      unknownNextStates > 0,
    ],
    ['unjudged-turns', `${unjudgedTurns} of ${turns} turns had no verdict and were masked.`, unjudgedTurns > 0],
    ['stale-samples', `${droppedStaleTurns} samples, up to ${maxAge} steps old, were dropped.`, droppedStaleTurns > 0],
    [
      'generation-mismatch',
      `Log-probabilities of generation and scoring differ by up to ${maxLogProbDifference}.`,
      maxLogProbDifference > logProbRounding,
    ],
    [
      'unbounded-values',
      'Every dialogue was truncated and gamma is 1: values will grow without bound. Expected a gamma below 1, or dialogues that end.',
      metrics.iteration === 1 && metrics.truncatedRate === 1 && gamma === 1 && credit === 'dialogue',
    ],
  ];
  return warnings.filter(([, , applies]) => applies).map(([code, message]) => [code, message]);
}
