import type { PPOMetrics } from '../training/index';
import type { TrainingTotals } from './experiment';

type Counted = Pick<PPOMetrics, 'episodes' | 'failedEpisodes' | 'tooLongEpisodes' | 'turns' | 'unjudgedTurns' | 'skippedIterations'>;

/** Adds up the iterations of a run. */
export function trainingTotals(iterations: readonly Counted[]): TrainingTotals {
  const sum = (key: keyof Counted) => iterations.reduce((total, metrics) => total + (metrics[key] ?? 0), 0);
  return {
    iterations: iterations.length,
    episodes: sum('episodes'),
    failedEpisodes: sum('failedEpisodes'),
    tooLongEpisodes: sum('tooLongEpisodes'),
    turns: sum('turns'),
    unjudgedTurns: sum('unjudgedTurns'),
    // the metric counts those before it as well
    skippedIterations: iterations.at(-1)?.skippedIterations ?? 0,
  };
}
