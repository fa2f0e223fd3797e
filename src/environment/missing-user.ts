import { RlpaError } from '../errors';

const codes = ['model-failed', 'model-rate-limited', 'model-unreachable', 'budget-exceeded', 'timeout'];

/** Whether an error of a simulated user says that it could not be had, rather than that something is wrong with the set-up. */
export function isMissingUser(error: unknown): error is RlpaError {
  return RlpaError.isInstance(error) && codes.includes(error.code);
}
