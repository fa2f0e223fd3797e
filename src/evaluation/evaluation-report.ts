import type { Episode, EpisodeTurn } from '../environment/index';
import { checkKnown, RlpaError } from '../errors';
import { mean } from '../mean';
import { type Criterion, criteria } from '../reward/index';
import { summariseAlignment } from './alignment';
import { type Estimate, estimate, observed } from './estimate';

/** What was measured at turn k, over users. */
export interface TurnMetrics {
  /** k, 1-based. */
  readonly turn: number;
  /** F1 of the inferred profile against the golden one, in [0, 1]. */
  readonly profileF1: Estimate;
  /** AL(k) in %. */
  readonly alignment: Estimate;
  /** Share of replies that passed each criterion, in %. Malformed outputs have no verdicts and are not in it. */
  readonly perCriterion: Readonly<Record<Criterion, Estimate>>;
  /** Share of outputs that broke the form, in [0, 1]. */
  readonly malformed: Estimate;
}

/** One user's measurements; entry k − 1 is turn k. `null`: no such turn, or not judged. */
export interface UserMetrics {
  readonly personaId: string;
  readonly end: Episode['end'];
  readonly profileF1: readonly (number | null)[];
  /** 1 if the reply passed all criteria, 0 if not. */
  readonly alignment: readonly (number | null)[];
  /** 1 if the output broke the form, 0 if not. */
  readonly malformed: readonly (number | null)[];
}

/**
 * How well a policy knows and answers users it never met. Plain JSON.
 *
 * A malformed output yields neither profile nor reply: it counts as F1 0 and as not aligned. A turn without a verdict counts as nothing:
 * it is left out of the means and counted in `unjudged`.
 */
export interface EvaluationReport {
  readonly policy: string;
  readonly users: number;
  readonly seed: number;
  /** That the policy sampled at, if it was said. */
  readonly temperature?: number;
  readonly turns: readonly TurnMetrics[];
  /** AVG in %. */
  readonly average: Estimate;
  /** N-IR, normalised alignment per turn. */
  readonly nIR: Estimate;
  /** N-R², in [0, 1]. */
  readonly nR2: Estimate;
  /** Mean profile F1 of each user's turns, in [0, 1]. */
  readonly profileF1Average: Estimate;
  /** Profile F1 at each user's last turn, in [0, 1]. */
  readonly profileF1Last: Estimate;
  /** Share of all outputs that broke the form, in [0, 1]; the error is over users, and `n` counts users. */
  readonly malformedRate: Estimate;
  /** Share of all outputs that were cut off by the token limit, in [0, 1]. */
  readonly truncatedRate: number;
  /** Turns for which no verdict could be had. */
  readonly unjudged: number;
  /** Dialogues that ended before the turn limit because they had grown longer than the policy can read. */
  readonly tooLong: number;
  /** Dialogues that broke off because the user or the policy's answer could not be had, with the reason; their turns before that count. */
  readonly failures: readonly { readonly personaId: string; readonly failure: string }[];
  readonly perUser: readonly UserMetrics[];
}

/**
 * Measures finished dialogues, one for each user.
 *
 * @param seed Seeds the bootstrap of N-IR and N-R².
 * @throws RlpaError `invalid-option` without episodes, or for two of one persona: users are the independent unit of every standard error.
 */
export function reportEpisodes(
  episodes: readonly Episode[],
  options: { policy: string; seed: number; temperature?: number | undefined },
): EvaluationReport {
  checkKnown('reportEpisodes', options, { policy: true, seed: true, temperature: true });
  const ids = new Set(episodes.map((episode) => episode.personaId));
  if (episodes.length === 0) throw new RlpaError('invalid-option', 'There are no dialogues to report on.');
  if (ids.size < episodes.length) {
    throw new RlpaError('invalid-option', `Each persona may appear once: ${episodes.length} dialogues are of ${ids.size} personas.`);
  }
  const length = Math.max(...episodes.map((episode) => episode.turns.length));
  const turns = episodes.flatMap((episode) => episode.turns);
  const perUser = episodes.map((episode) => measureUser(episode, length));
  const alignment = summariseAlignment(
    perUser.map((user) => user.alignment),
    options.seed,
  );
  const malformed = perUser.flatMap((user) => mean(observed(user.malformed)) ?? []);
  return {
    policy: options.policy,
    users: episodes.length,
    seed: options.seed,
    ...(options.temperature !== undefined && { temperature: options.temperature }),
    turns: Array.from({ length }, (_, k) => ({
      turn: k + 1,
      profileF1: atTurn(perUser, k, (user) => user.profileF1),
      alignment: alignment.alignment[k]!,
      perCriterion: criterionShares(episodes, k),
      malformed: atTurn(perUser, k, (user) => user.malformed),
    })),
    average: alignment.average,
    nIR: alignment.nIR,
    nR2: alignment.nR2,
    profileF1Average: estimate(perUser.flatMap((user) => averageF1(user) ?? [])),
    profileF1Last: estimate(perUser.flatMap((user) => lastF1(user) ?? [])),
    malformedRate: {
      mean: mean(perUser.flatMap((user) => observed(user.malformed))),
      se: estimate(malformed).se,
      n: malformed.length,
    },
    truncatedRate: turns.length === 0 ? 0 : turns.filter((turn) => turn.action.finishReason === 'length').length / turns.length,
    unjudged: turns.filter((turn) => turn.reward.status === 'unjudged').length,
    tooLong: episodes.filter((episode) => episode.tooLong).length,
    failures: episodes.flatMap(({ end, personaId, failure }) => (end === 'failed' ? [{ personaId, failure: failure ?? 'unknown' }] : [])),
    perUser,
  };
}

/** Mean profile F1 over the turns for which it could be computed. */
export function averageF1(user: UserMetrics): number | undefined {
  return mean(observed(user.profileF1)) ?? undefined;
}

/** Profile F1 at the last turn for which it could be computed. */
export function lastF1(user: UserMetrics): number | undefined {
  return observed(user.profileF1).at(-1);
}

function measureUser(episode: Episode, length: number): UserMetrics {
  const at = (read: (turn: EpisodeTurn) => number | null) =>
    Array.from({ length }, (_, k) => {
      const turn = episode.turns[k];
      return turn ? read(turn) : null;
    });
  return {
    personaId: episode.personaId,
    end: episode.end,
    profileF1: at(({ reward }) => (reward.status === 'malformed' ? 0 : (reward.profile?.f1 ?? null))),
    alignment: at(aligned),
    malformed: at(({ reward }) => Number(reward.status === 'malformed')),
  };
}

function aligned({ reward }: EpisodeTurn): number | null {
  if (reward.status === 'malformed') return 0;
  const verdict = reward.response;
  return verdict ? Number(criteria.every((criterion) => verdict[criterion].pass)) : null;
}

function atTurn(users: readonly UserMetrics[], k: number, read: (user: UserMetrics) => readonly (number | null)[]): Estimate {
  return estimate(users.flatMap((user) => read(user)[k] ?? []));
}

function criterionShares(episodes: readonly Episode[], k: number): Record<Criterion, Estimate> {
  const verdicts = episodes.flatMap((episode) => episode.turns[k]?.reward.response ?? []);
  return Object.fromEntries(
    criteria.map((criterion) => [criterion, estimate(verdicts.map((verdict) => (verdict[criterion].pass ? 100 : 0)))]),
  ) as Record<Criterion, Estimate>;
}
