import { RlpaError } from '../errors';
import { mean } from '../mean';
import { Random } from '../random';
import { type Estimate, estimate, observed, standardDeviation } from './estimate';

/**
 * One row for each user, one column for each turn: 1 if the reply passed all five criteria, 0 if not, `null` where no verdict could be
 * had or the dialogue was already over. What is `null` is left out of every mean.
 */
export type AlignmentTable = readonly (readonly (number | null)[])[];

/** The least-squares line through the normalised alignment curve. */
export interface ImprovementTrend {
  /** N-IR: the line's slope, in normalised alignment per turn. */
  readonly nIR: number;
  /** N-R²: the share of the curve's variance that the line explains. */
  readonly nR2: number;
}

export interface AlignmentSummary {
  /** AL(k) in %, k = 1..K: over users, with the standard error over users. */
  readonly alignment: readonly Estimate[];
  /** N-AL(k) in [0, 1]; `null` where AL(k) is. */
  readonly normalised: readonly (number | null)[];
  /** AVG in %: the mean of AL(k) over k. Its standard error is that of the users' own means; `n` counts users. */
  readonly average: Estimate;
  /** N-IR, with a standard error by bootstrap over users. */
  readonly nIR: Estimate;
  /** N-R², with a standard error by bootstrap over users. */
  readonly nR2: Estimate;
}

const replicates = 1000;

/**
 * N-AL(k) = (AL(k) − min) / (max − min) over k. A flat curve has nothing to normalise and becomes 0 everywhere.
 *
 * @example
 * import { normaliseAlignment } from 'rlpa';
 * normaliseAlignment([60, 70, 80]); // [0, 0.5, 1]
 */
export function normaliseAlignment(alignment: readonly (number | null)[]): (number | null)[] {
  const known = observed(alignment);
  const low = Math.min(...known);
  const range = Math.max(...known) - low;
  return alignment.map((value) => (value === null ? null : range > 0 ? (value - low) / range : 0));
}

/**
 * N-IR and N-R² of a curve AL(1..K): slope and R² of the least-squares line through the points (k, N-AL(k)). Turns without a value are
 * left out. A flat curve, or fewer than two points, has slope 0 and R² 0: it shows no improvement, and there is no variance to explain.
 *
 * @param alignment AL(k) for k = 1..K, in any unit.
 * @example
 * import { improvementTrend } from 'rlpa';
 * improvementTrend([62.16, 68.92, 70.27, 74.32, 72.97, 74.32, 75.68, 78.38, 77.03, 79.73]); // { nIR: 0.090…, nR2: 0.855… }
 */
export function improvementTrend(alignment: readonly (number | null)[]): ImprovementTrend {
  const points = normaliseAlignment(alignment).flatMap((value, index) => (value === null ? [] : [{ k: index + 1, value }]));
  if (points.length < 2) return { nIR: 0, nR2: 0 };
  const meanTurn = mean(points.map((point) => point.k))!;
  const meanValue = mean(points.map((point) => point.value))!;
  let turnSquares = 0;
  let valueSquares = 0;
  let products = 0;
  for (const { k, value } of points) {
    turnSquares += (k - meanTurn) ** 2;
    valueSquares += (value - meanValue) ** 2;
    products += (k - meanTurn) * (value - meanValue);
  }
  if (valueSquares === 0) return { nIR: 0, nR2: 0 };
  return { nIR: products / turnSquares, nR2: products ** 2 / (turnSquares * valueSquares) };
}

/** AL(k) in % for k = 1..K; `null` where nobody was judged. */
export function alignmentCurve(table: AlignmentTable): (number | null)[] {
  return columns(table).map((column) => {
    const share = mean(observed(column));
    return share === null ? null : 100 * share;
  });
}

/** AVG in %: the mean of AL(k) over the turns that have one. */
export function averageAlignment(table: AlignmentTable): number | null {
  return mean(observed(alignmentCurve(table)));
}

/**
 * The paper's alignment metrics with standard errors.
 *
 * Users are the independent unit everywhere: their turns are not. AL(k) has the usual error of a mean over users; AVG that of the mean of
 * the users' own means (the same number where every turn was judged); N-IR and N-R² are no means, so whole users are drawn
 * with replacement 1000 times and the spread of the metric over the draws is its error.
 *
 * @param seed Seeds the bootstrap.
 * @throws RlpaError `invalid-option` for rows of unequal length.
 * @example
 * import { summariseAlignment } from 'rlpa';
 * summariseAlignment([[0, 1, 1], [0, 0, 1]], 1).alignment.map((turn) => turn.mean); // [0, 50, 100]
 */
export function summariseAlignment(table: AlignmentTable, seed: number): AlignmentSummary {
  const turns = columns(table);
  const curve = alignmentCurve(table);
  const trend = improvementTrend(curve);
  const perUser = userMeans(table);
  const draws = bootstrapUsers(table, seed, (sample) => improvementTrend(alignmentCurve(sample)));
  return {
    alignment: turns.map((column) => estimate(observed(column).map((verdict) => 100 * verdict))),
    normalised: normaliseAlignment(curve),
    average: { mean: mean(observed(curve)), se: estimate(perUser).se, n: perUser.length },
    nIR: { mean: trend.nIR, se: standardDeviation(draws.map((draw) => draw.nIR)), n: perUser.length },
    nR2: { mean: trend.nR2, se: standardDeviation(draws.map((draw) => draw.nR2)), n: perUser.length },
  };
}

/** Each judged user's own mean over turns, in %. */
export function userMeans(table: AlignmentTable): number[] {
  return table.flatMap((row) => {
    const own = mean(observed(row));
    return own === null ? [] : [100 * own];
  });
}

/** A statistic over 1000 samples of as many rows, drawn with replacement; none for fewer than two rows. */
export function bootstrapUsers<Row, T>(rows: readonly Row[], seed: number, statistic: (sample: readonly Row[]) => T): T[] {
  if (rows.length < 2) return [];
  const random = new Random(seed).split('bootstrap');
  return Array.from({ length: replicates }, () => statistic(rows.map(() => random.pick(rows))));
}

function columns(table: AlignmentTable): (number | null)[][] {
  const width = table[0]?.length ?? 0;
  const unequal = table.findIndex((row) => row.length !== width);
  if (unequal >= 0) {
    throw new RlpaError(
      'invalid-option',
      `Every user needs an entry for each of the ${width} turns (null where unjudged); user ${unequal} has ${table[unequal]!.length}.`,
      { user: unequal, expected: width, found: table[unequal]!.length },
    );
  }
  return Array.from({ length: width }, (_, turn) => table.map((row) => row[turn]!));
}
