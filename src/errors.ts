import { quoted } from './quoted';

const marker = Symbol.for('rlpa.error');

/** Every code an {@link RlpaError} can carry. Codes are stable; messages are for people and may change. */
export type ErrorCode =
  | 'invalid-schema'
  | 'invalid-profile'
  | 'invalid-option'
  | 'invalid-persona'
  | 'invalid-file'
  | 'file-failed'
  | 'invalid-model'
  | 'invalid-graph'
  | 'invalid-checkpoint'
  | 'missing-dependency'
  | 'store-failed'
  | 'model-failed'
  | 'model-rate-limited'
  | 'model-unreachable'
  | 'budget-exceeded'
  | 'timeout'
  | 'aborted'
  | 'device-failed'
  | 'training-failed'
  | 'server-failed';

/**
 * The one error class that the library throws on purpose.
 *
 * @example
 * import { LocalPolicy, RlpaError } from 'rlpa';
 * try {
 *   await LocalPolicy.load('./runs/1/policy');
 * } catch (error) {
 *   if (RlpaError.isInstance(error) && error.code === 'invalid-file') console.error(error.message);
 * }
 */
export class RlpaError extends Error {
  override readonly name = 'RlpaError';
  /** Identifies the class across duplicate installs, where `instanceof` fails. */
  readonly [marker] = true;

  constructor(
    readonly code: ErrorCode,
    message: string,
    /** What a program may want to read: the file, slot, tensor or option that was refused. */
    readonly details: Readonly<Record<string, unknown>> = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  static isInstance(value: unknown): value is RlpaError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[marker] === true;
  }
}

/**
 * The error for an option that makes no sense. What is in an object may be a key: the error tells neither that nor what a function does.
 *
 * @param owner what the caller called
 * @param mayBeSecret a text that stands here by mistake may be a key or an address with a password
 */
export function invalidOption(owner: string, option: string, expected: string, found: unknown, mayBeSecret = false): RlpaError {
  const isHidden = Object(found) === found || (mayBeSecret && typeof found === 'string');
  const words = isHidden && typeof found === 'string' ? 'a text' : shown(found);
  const message = `${owner}, option '${option}': expected ${expected}, found ${words}.`;
  return new RlpaError('invalid-option', message, { option, expected, found: isHidden ? words : found });
}

/**
 * Refuses options that are no object, or that are not known: a misspelt one would count as left out.
 *
 * @param owner what the caller called
 * @param known all options there are, by their names: the compiler sees to it that none of the type of `given` is missing
 */
export function checkKnown<Options>(owner: string, given: Options, known: Readonly<Record<keyof NoInfer<Options>, unknown>>): void {
  if (typeof given !== 'object' || given === null) {
    // a text in the place of options may be a key, or an address with a password
    const found = typeof given === 'string' ? 'a text' : shown(given);
    throw new RlpaError('invalid-option', `${owner}: expected an object of options, found ${found}.`, { owner });
  }
  const option = Object.keys(given).find((name) => !Object.hasOwn(known, name));
  if (option === undefined) return;
  const expected = `one of ${Object.keys(known).join(', ')}`;
  throw new RlpaError('invalid-option', `${owner} has no option '${option}': expected ${expected}.`, { option, expected, found: option });
}

/** A value in a message, without what is inside. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return `'${quoted(value).slice(1, -1)}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  return Array.isArray(value) ? `a list of ${value.length}` : 'an object';
}

/** Throws the signal's reason as an `aborted` error if it has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

/** The error that a wait ends with when its signal fires. */
export function abortedError(signal: AbortSignal): RlpaError {
  if (RlpaError.isInstance(signal.reason)) return signal.reason;
  return new RlpaError('aborted', 'The operation was aborted by its signal.', {}, { cause: signal.reason });
}
