import { RlpaError } from '../errors';
import { mean } from '../mean';
import { alignmentCurve, averageAlignment, bootstrapUsers, improvementTrend, userMeans } from './alignment';
import { type Estimate, estimate, observed, standardDeviation } from './estimate';
import { averageF1, type EvaluationReport, lastF1, type UserMetrics } from './evaluation-report';

/** Differences `after − before`, in the units of the reports, with standard errors of the difference. Plain JSON. */
export interface EvaluationComparison {
  /** Users that both reports have. */
  readonly users: number;
  readonly turns: readonly { readonly turn: number; readonly profileF1: Estimate; readonly alignment: Estimate }[];
  readonly average: Estimate;
  readonly nIR: Estimate;
  readonly nR2: Estimate;
  readonly profileF1Average: Estimate;
  readonly profileF1Last: Estimate;
  readonly malformedRate: Estimate;
}

type Pair = readonly [before: UserMetrics, after: UserMetrics];

/**
 * What changed between two evaluations of the same users. Users differ more from one another than a policy differs from itself, so the
 * difference is taken user by user: its standard error is that of the users' own differences, and for N-IR and N-R² it comes from
 * drawing pairs with replacement. Of two evaluations of unlike lengths the turns count that both have.
 *
 * @throws RlpaError `invalid-option` if the reports share no user.
 */
export function compareReports(before: EvaluationReport, after: EvaluationReport): EvaluationComparison {
  const length = Math.min(before.turns.length, after.turns.length);
  const earlier = new Map(before.perUser.map((user) => [user.personaId, user]));
  const pairs = after.perUser.flatMap((user): Pair[] => {
    const match = earlier.get(user.personaId);
    return match ? [[firstTurns(match, length), firstTurns(user, length)]] : [];
  });
  if (pairs.length === 0) throw new RlpaError('invalid-option', 'The two reports share no user, so there is nothing to pair.');

  const tables = (sample: readonly Pair[]) => [0, 1].map((side) => sample.map((pair) => pair[side]!.alignment));
  const trends = (sample: readonly Pair[]) => {
    const [first, second] = tables(sample).map((table) => improvementTrend(alignmentCurve(table)));
    return { nIR: second!.nIR - first!.nIR, nR2: second!.nR2 - first!.nR2 };
  };
  const trend = trends(pairs);
  const draws = bootstrapUsers(pairs, after.seed, trends);
  const [tableBefore, tableAfter] = tables(pairs);
  const averages = difference(pairs, (user) => userMeans([user.alignment])[0]);
  const [averageBefore, averageAfter] = [averageAlignment(tableBefore!), averageAlignment(tableAfter!)];
  return {
    users: pairs.length,
    turns: Array.from({ length }, (_, k) => ({
      turn: k + 1,
      profileF1: difference(pairs, (user) => user.profileF1[k]),
      alignment: difference(pairs, (user) => percent(user.alignment[k])),
    })),
    average: {
      ...averages,
      mean: averageBefore === null || averageAfter === null ? null : averageAfter - averageBefore,
    },
    nIR: { mean: trend.nIR, se: standardDeviation(draws.map((draw) => draw.nIR)), n: pairs.length },
    nR2: { mean: trend.nR2, se: standardDeviation(draws.map((draw) => draw.nR2)), n: pairs.length },
    profileF1Average: difference(pairs, averageF1),
    profileF1Last: difference(pairs, lastF1),
    malformedRate: difference(pairs, (user) => mean(observed(user.malformed))),
  };
}

function firstTurns(user: UserMetrics, length: number): UserMetrics {
  const { profileF1, alignment, malformed } = user;
  return { ...user, profileF1: profileF1.slice(0, length), alignment: alignment.slice(0, length), malformed: malformed.slice(0, length) };
}

/** Over the pairs of which both sides were measured. */
function difference(pairs: readonly Pair[], read: (user: UserMetrics) => number | null | undefined): Estimate {
  return estimate(
    pairs.flatMap(([before, after]) => {
      const [from, to] = [read(before), read(after)];
      return typeof from === 'number' && typeof to === 'number' ? [to - from] : [];
    }),
  );
}

function percent(share: number | null | undefined): number | null {
  return typeof share === 'number' ? 100 * share : null;
}
