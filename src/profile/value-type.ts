import { RlpaError } from '../errors';

/**
 * What a slot asks of the type of its values. zod's types have it, and so have {@link text} and {@link wholeNumber}, without zod.
 *
 * @example
 * import type { ValueType } from 'rlpa';
 * const email: ValueType<string> = {
 *   safeParse: (value) =>
 *     typeof value === 'string' && value.includes('@')
 *       ? { success: true, data: value }
 *       : { success: false, error: { issues: [{ message: 'expected an email address' }] } },
 *   toJSONSchema: () => ({ type: 'string', format: 'email' }),
 * };
 */
export interface ValueType<Value = unknown> {
  safeParse(
    value: unknown,
  ): { readonly success: true; readonly data: Value } | { readonly success: false; readonly error: { readonly issues: readonly Issue[] } };
  /** JSON Schema 2020-12 of what is accepted; what it cannot express is left open. */
  toJSONSchema(options: { readonly unrepresentable: 'any'; readonly io: 'input' }): object;
}

interface Issue {
  readonly message: string;
}

/**
 * Any text: `z.string()`, for those who define no types of their own and need not load zod for it.
 *
 * @example
 * import { ProfileSchema, slot, text } from 'rlpa';
 * const schema = ProfileSchema.define({ occupation: slot.one(text), interests: slot.many(text) });
 */
export const text: ValueType<string> = {
  safeParse: (value) => (typeof value === 'string' ? { success: true, data: value } : refused('a text')),
  toJSONSchema: () => ({ type: 'string' }),
};

/**
 * A whole number from `minimum` to `maximum`: `z.int().min(minimum).max(maximum)`.
 *
 * @throws `invalid-schema` where no whole number lies between the two.
 * @example
 * import { ProfileSchema, slot, wholeNumber } from 'rlpa';
 * const schema = ProfileSchema.define({ age: slot.one(wholeNumber(0, 130)) });
 */
export function wholeNumber(minimum: number, maximum: number): ValueType<number> {
  if (!(Math.ceil(minimum) <= maximum)) {
    throw new RlpaError('invalid-schema', `There is no whole number from ${minimum} to ${maximum}.`);
  }
  return {
    safeParse: (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= maximum
        ? { success: true, data: value }
        : refused(`a whole number from ${minimum} to ${maximum}`),
    toJSONSchema: () => ({ type: 'integer', minimum, maximum }),
  };
}

function refused(expected: string) {
  return { success: false, error: { issues: [{ message: `expected ${expected}` }] } } as const;
}
