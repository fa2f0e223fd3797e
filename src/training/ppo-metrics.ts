import type { Episode, EpisodeTurn } from '../environment/index';
import { mean } from '../mean';
import { type Criterion, criteria, passes, type Verdict } from '../reward/index';
import type { ExperienceReport } from './experience';
import type { UpdateReport } from './ppo-update';

/** What the rollouts of an iteration were like. Rates and means are null where there was nothing to count. */
export interface RolloutMetrics extends Record<Criterion, number | null> {
  readonly episodes: number;
  readonly failedEpisodes: number;
  /** Truncated before the turn limit because they had grown longer than the policy can read. */
  readonly tooLongEpisodes: number;
  readonly turns: number;
  /** Mean R_t over the turns that have a verdict. */
  readonly reward: number | null;
  /** Mean profile F1; a malformed turn counts as 0. */
  readonly profileF1: number | null;
  /** Share of replies that pass all five criteria; a malformed turn counts as failed. The criteria by name: their own shares. */
  readonly responsePass: number | null;
  /** Entry k − 1 is that of turn k. */
  readonly profileF1ByTurn: readonly (number | null)[];
  /** AL(k) / 100. */
  readonly responsePassByTurn: readonly (number | null)[];
  readonly malformedRate: number | null;
  /** Share of generations that the token limit cut off. */
  readonly cutOffRate: number | null;
  /** Share of episodes that the turn limit ended, or what the policy can read. */
  readonly truncatedRate: number | null;
  readonly unjudgedTurns: number;
  /** Mean generated tokens a turn. */
  readonly responseLength: number | null;
}

/** Everything that one PPO iteration has to say: flat, so that it is one line of a log. */
export interface PPOMetrics extends RolloutMetrics, ExperienceReport, Omit<UpdateReport, 'updates'> {
  /** 1-based. */
  readonly iteration: number;
  /** Of the weights after the iteration. */
  readonly version: number;
  readonly updates: number;
  /** Whether the iteration was skipped because its advantages did not vary; and how many were so far. */
  readonly skipped: boolean;
  readonly skippedIterations: number;
  readonly trainableTokens: number;
  readonly klCoefficient: number;
  /** What rewards were divided by. */
  readonly rewardDivisor: number;
  readonly rolloutSeconds: number;
  readonly updateSeconds: number;
  readonly iterationSeconds: number;
  /** Generated tokens a second, waiting for users and judges included. */
  readonly rolloutTokensPerSecond: number;
  /** Tokens, prompts included, a second of scoring and epochs together. */
  readonly updateTokensPerSecond: number;
}

/** The metrics that measure the machine: two runs with one seed agree in all others. */
export const timingMetrics = [
  'rolloutSeconds',
  'updateSeconds',
  'iterationSeconds',
  'rolloutTokensPerSecond',
  'updateTokensPerSecond',
] as const satisfies readonly (keyof PPOMetrics)[];

export function measureRollouts(episodes: readonly Episode[]): RolloutMetrics {
  const turns = episodes.flatMap((episode) => episode.turns);
  const judged = turns.filter(({ reward }) => reward.status !== 'unjudged');
  const longest = Math.max(0, ...turns.map(({ turn }) => turn));
  const byTurn = (of: (turn: EpisodeTurn) => number | null) =>
    Array.from({ length: longest }, (_, k) =>
      meanOf(
        judged.filter(({ turn }) => turn === k + 1),
        of,
      ),
    );
  // A part that no turn has is a part that the reward does not have: then malformed turns have none either.
  const hasProfile = judged.some(({ reward }) => reward.profile);
  const hasResponse = judged.some(({ reward }) => reward.response);
  const f1 = ({ reward }: EpisodeTurn) => (reward.profile ? reward.profile.f1 : hasProfile && reward.status === 'malformed' ? 0 : null);
  const shareOf = (test: (verdict: Verdict) => boolean) => (turn: EpisodeTurn) =>
    turn.reward.response ? Number(test(turn.reward.response)) : hasResponse && turn.reward.status === 'malformed' ? 0 : null;
  const passesAll = shareOf(passes);
  const criterionRates = Object.fromEntries(
    criteria.map((criterion) => [
      criterion,
      meanOf(
        judged,
        shareOf((verdict) => verdict[criterion].pass),
      ),
    ]),
  ) as Record<Criterion, number | null>;
  return {
    episodes: episodes.length,
    failedEpisodes: episodes.filter(({ end }) => end === 'failed').length,
    tooLongEpisodes: episodes.filter(({ tooLong }) => tooLong).length,
    turns: turns.length,
    reward: meanOf(judged, ({ reward }) => reward.total),
    profileF1: meanOf(judged, f1),
    responsePass: meanOf(judged, passesAll),
    ...criterionRates,
    profileF1ByTurn: byTurn(f1),
    responsePassByTurn: byTurn(passesAll),
    malformedRate: meanOf(turns, ({ reward }) => Number(reward.status === 'malformed')),
    cutOffRate: meanOf(turns, ({ action }) => Number(action.finishReason === 'length')),
    truncatedRate: meanOf(episodes, ({ end }) => Number(end === 'truncated')),
    unjudgedTurns: turns.length - judged.length,
    responseLength: meanOf(turns, ({ action }) => action.usage.outputTokens),
  };
}

/** The mean of what is there; null when nothing is. */
function meanOf<T>(items: readonly T[], of: (item: T) => number | null): number | null {
  return mean(items.map(of).filter((value) => value !== null));
}
