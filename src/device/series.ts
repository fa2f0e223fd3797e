import type { NumberArray } from './device';

type Data = Readonly<Record<string, NumberArray>>;

/** The inputs of a run in a series: what is given for it, and what it is handed by the run before. */
export function seriesInputs(given: Data, before: Data | undefined, carry: Readonly<Record<string, string>>): Data {
  if (!before) return given;
  return { ...given, ...Object.fromEntries(Object.entries(carry).map(([input, output]) => [input, before[output]!])) };
}
