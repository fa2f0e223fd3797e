import { RlpaError } from '../errors';

/** What to do where training itself may have gone too far. */
export const slowDown = 'Resume from the last checkpoint, or start again, with a lower learning rate.';

/**
 * NaN spreads to all that is computed from it, weights in the end, and compares as neither larger nor smaller than anything.
 *
 * @param advice what to do about it
 * @throws RlpaError `training-failed`; `details` holds `what` and `value`
 */
export function assertFinite(what: string, value: number, advice: string = slowDown): void {
  if (Number.isFinite(value)) return;
  throw new RlpaError('training-failed', `The ${what} is ${value}: expected a finite number. ${advice}`, { what, value });
}
