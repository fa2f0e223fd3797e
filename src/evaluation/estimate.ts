import { mean } from '../mean';

/** A mean with its standard error. Plain JSON: what cannot be had is `null`, never NaN. */
export interface Estimate {
  /** `null` if nothing was observed. */
  readonly mean: number | null;
  /** Standard error of the mean; `null` for fewer than two observations. */
  readonly se: number | null;
  /** How many observations the mean is over. */
  readonly n: number;
}

/** Sample standard deviation (n − 1); `null` for fewer than two values. */
export function standardDeviation(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values)!;
  let sum = 0;
  for (const value of values) sum += (value - centre) ** 2;
  return Math.sqrt(sum / (values.length - 1));
}

/**
 * The mean of independent observations and its standard error s/√n. For yes-or-no observations this is √(p(1−p)/(n−1)).
 *
 * @example
 * import { estimate } from 'rlpa';
 * estimate([0, 1, 1, 1]); // { mean: 0.75, se: 0.25, n: 4 }
 */
export function estimate(values: readonly number[]): Estimate {
  const deviation = standardDeviation(values);
  return { mean: mean(values), se: deviation === null ? null : deviation / Math.sqrt(values.length), n: values.length };
}

/** The observations that were made. */
export function observed(values: readonly (number | null)[]): number[] {
  return values.filter((value): value is number => value !== null);
}
