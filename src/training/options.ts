import { checkKnown, invalidOption } from '../errors';
import type { TrainablePolicy } from '../policy/index';

/** What an option's value must be, in words and as a test. */
export interface OptionRule {
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value);

/** The rules that trainers share. */
export const rule = {
  positive: { expected: 'a finite number above 0', accepts: (v) => isNumber(v) && v > 0 && Number.isFinite(v) },
  positiveOrInfinite: { expected: 'a number above 0, Infinity for no bound', accepts: (v) => isNumber(v) && v > 0 },
  nonNegative: { expected: 'a finite number of at least 0', accepts: (v) => isNumber(v) && v >= 0 && Number.isFinite(v) },
  nonNegativeOrInfinite: { expected: 'a number of at least 0, Infinity for no bound', accepts: (v) => isNumber(v) && v >= 0 },
  share: { expected: 'a number in [0, 1]', accepts: (v) => isNumber(v) && v >= 0 && v <= 1 },
  shareBelowOne: { expected: 'a number in [0, 1)', accepts: (v) => isNumber(v) && v >= 0 && v < 1 },
  count: { expected: 'a whole number of at least 1', accepts: (v) => Number.isSafeInteger(v) && (v as number) >= 1 },
  countOrZero: { expected: 'a whole number of at least 0', accepts: (v) => Number.isSafeInteger(v) && (v as number) >= 0 },
  boolean: { expected: 'true or false', accepts: (v) => typeof v === 'boolean' },
  betas: {
    expected: 'two numbers in [0, 1)',
    accepts: (v) => Array.isArray(v) && v.length === 2 && v.every((beta) => isNumber(beta) && beta >= 0 && beta < 1),
  },
} satisfies Record<string, OptionRule>;

/** One of the given words. */
export function oneOf(...words: readonly string[]): OptionRule {
  return { expected: words.map((word) => `'${word}'`).join(' or '), accepts: (value) => words.includes(value as string) };
}

/** Anything that has these methods. */
export function withMethods(what: string, ...methods: readonly string[]): OptionRule {
  return {
    expected: `${what} (an object with ${methods.join(', ')})`,
    accepts: (value) => {
      const object = value as Record<string, unknown> | null | undefined;
      return typeof object === 'object' && object !== null && methods.every((method) => typeof object[method] === 'function');
    },
  };
}

/** A policy that trains, as opposed to one that only acts. */
export const trainablePolicy = withMethods(
  'a TrainablePolicy',
  ...([
    'act',
    'score',
    'accumulatePPO',
    'accumulateCrossEntropy',
    'update',
    'clearGradients',
    'resetOptimizer',
    'exportState',
    'importState',
    'encodePrompt',
    'encodeAssistant',
  ] satisfies (keyof TrainablePolicy)[]),
);

export function optional(inner: OptionRule): OptionRule {
  return { expected: `${inner.expected}, or nothing`, accepts: (value) => value === undefined || inner.accepts(value) };
}

export function listOf(what: string): OptionRule {
  return { expected: `a list of at least one ${what}`, accepts: (value) => Array.isArray(value) && value.length > 0 };
}

export const abortSignal: OptionRule = { expected: 'an AbortSignal', accepts: (value) => value instanceof AbortSignal };
export const aFunction: OptionRule = { expected: 'a function', accepts: (value) => typeof value === 'function' };
export const checkpointStore = withMethods('a CheckpointStore', 'save', 'latest');
export const metricsLog = withMethods('a MetricsLog', 'append', 'cutAfter');

/**
 * Refuses an option that is not known, or whose value breaks its rule. Every given key is looked at before anything else happens.
 *
 * @param owner whose options they are, for the message
 * @throws RlpaError `invalid-option`; `details` holds `option`, `expected` and `found`
 */
export function checkOptions(owner: string, given: unknown, rules: Readonly<Record<string, OptionRule>>): void {
  checkKnown(owner, given, rules);
  for (const [option, { expected, accepts }] of Object.entries(rules)) {
    const found = (given as Record<string, unknown>)[option];
    if (!accepts(found)) throw invalidOption(owner, option, expected, found);
  }
}

/** The options that were given a value: one that is undefined counts as left out. */
export function givenOptions<T extends object>(options: T): T {
  if (typeof options !== 'object' || options === null) return options;
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
