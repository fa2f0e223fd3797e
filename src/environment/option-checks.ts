import { RlpaError } from '../errors';

/** @throws `invalid-option` unless the value is a positive whole number. */
export function checkCount(option: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new RlpaError('invalid-option', `${option} is a positive whole number; found ${value}.`, { option });
}

/** @throws `invalid-option` unless the value is above 0. */
export function checkPositive(option: string, value: number): void {
  if (value > 0) return;
  throw new RlpaError('invalid-option', `${option} is positive; found ${value}.`, { option });
}

/** @throws `invalid-option` unless the value is one of those. */
export function checkOneOf(option: string, value: string, values: readonly string[]): void {
  if (values.includes(value)) return;
  throw new RlpaError('invalid-option', `${option} is one of ${values.join(', ')}; found ${JSON.stringify(value)}.`, { option });
}
