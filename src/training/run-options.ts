import { isObject } from '../json-object';
import type { TrainablePolicy } from '../policy/index';

/** What a run depends on besides its weights and data, as a checkpoint keeps it: each option in words. */
export type RunOptions = Readonly<Record<string, string>>;

/**
 * The trainer's options and the policy's sampling distribution, which every log-probability refers to. Without options that are left out,
 * and without `checkpointEvery`: when a run is saved changes nothing about it.
 */
export function describeOptions(
  { checkpointEvery: _, ...options }: Readonly<Record<string, unknown>>,
  { temperature, limits }: Pick<TrainablePolicy, 'temperature' | 'limits'>,
): RunOptions {
  const given = Object.entries({ ...options, temperature, ...limits }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([option, value]) => [option, isObject(value) ? JSON.stringify(value) : String(value)]));
}

/**
 * What to say where a run is resumed with other options than it was stopped with; undefined where they are the same.
 *
 * @param before what the checkpoint says of them: nothing, if it is of an earlier version
 */
export function describeChanges(before: RunOptions | undefined, now: RunOptions): string | undefined {
  const changed = Object.keys({ ...before, ...now }).filter((option) => before?.[option] !== now[option]);
  if (changed.length === 0) return undefined;
  const inWords = (value = 'left out') => value;
  const list = changed.map((option) => `${option} was ${inWords(before?.[option])} and is ${inWords(now[option])}`).join(', ');
  return `The resumed run will differ from the one that was stopped: ${list}.`;
}
