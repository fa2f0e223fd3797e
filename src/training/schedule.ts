/** How a rate changes over a run, once it is warm. */
export type ScheduleShape = 'constant' | 'linear' | 'cosine';

/**
 * The factor that a base rate is multiplied by: rises linearly over the first `warmup` share of the steps, then stays, falls linearly,
 * or falls along half a cosine towards 0.
 *
 * @param step 0-based; the first step of a warm-up already has a rate above 0
 * @param total steps of the run
 * @param warmup share of the run, in [0, 1)
 */
export function scheduleFactor(shape: ScheduleShape, step: number, total: number, warmup: number): number {
  const warm = warmup * total;
  if (step < warm) return Math.min(1, (step + 1) / warm);
  const done = Math.min(1, (step - warm) / (total - warm));
  switch (shape) {
    case 'constant':
      return 1;
    case 'linear':
      return 1 - done;
    case 'cosine':
      return 0.5 * (1 + Math.cos(Math.PI * done));
    default:
      return shape satisfies never;
  }
}

export interface AdaptiveKlOptions {
  /** KL in nats per token that the controller steers towards. */
  readonly target: number;
  /** Dialogues over which an error of the full clip changes the coefficient by a fifth. */
  readonly horizon: number;
}

/**
 * The next KL coefficient, by the proportional controller of Ziegler et al. 2019 (section 2.2): the relative error is clipped to ±0.2 and
 * counts by the share of the horizon that was seen.
 */
export function nextKlCoefficient(coefficient: number, measuredKl: number, dialogues: number, options: AdaptiveKlOptions): number {
  const error = Math.min(0.2, Math.max(-0.2, measuredKl / options.target - 1));
  return coefficient * (1 + error * Math.min(1, dialogues / options.horizon));
}
