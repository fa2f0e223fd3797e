import type { DeviceBuffer, DeviceLane, NumberArray } from '../device/index';
import type { Continuation } from './continuation';
import type { KeyValueCache, Row } from './key-value-cache';
import type { Pace } from './pace';
import type { ProgramCache } from './program-cache';
import { filledBucket, rowBucket } from './program-sizes';
import { extendGraph, type ModelForm } from './programs';

/** What continues texts: a model on a device, and the cache that they have their rows in. */
export interface Extender {
  readonly device: DeviceLane;
  readonly programs: ProgramCache;
  readonly cache: KeyValueCache;
  readonly weights: ReadonlyMap<string, DeviceBuffer>;
}

export interface ExtendSettings {
  readonly form: ModelForm;
  readonly temperature: number;
  readonly greedy: boolean;
  /** Tokens a row that the program has room for; see {@link chunkLength}. */
  readonly length: number;
  /** Says how many tokens to sample where what was sampled is fed, and is told what they took. */
  readonly pace: Pace;
  /** But no more than these. */
  readonly mostSteps?: number;
  /** How many of the cache's first rows to compute where what was sampled is fed; by default as few as hold those that are fed. */
  readonly front?: number;
}

/** What a continuation is fed. */
export interface Feed<C extends Continuation> {
  readonly continuation: C;
  /** How many of its pending tokens; with none pending, what was sampled last. */
  readonly count: number;
  /** Once it fires, the continuation takes no more tokens. */
  readonly signal?: AbortSignal;
}

/** Runs of the model that are under way. */
export interface Extension {
  readonly runs: number;
  /** Waits for what was sampled, and gives it to the continuations. → how many tokens they took */
  take(): Promise<number>;
}

/**
 * Begins to run the model: feeds each continuation the given number of its pending tokens, and samples for those that have none left. Where all
 * are fed what was sampled for them, it goes on with that at the given pace unless nobody has room for so many tokens. Others may be begun
 * before the first are taken, in the same order. What is sampled for a continuation after its end is dropped.
 *
 * @param onToken told of each token once its continuation has taken it
 */
export async function extend<C extends Continuation>(
  { device, programs, cache, weights }: Extender,
  feeds: readonly Feed<C>[],
  { form, temperature, greedy, length, pace, mostSteps = Number.POSITIVE_INFINITY, front }: ExtendSettings,
  onToken: (continuation: C, token: number) => void,
): Promise<Extension> {
  const { capacity } = cache;
  const choice = chooseRows(cache, feeds, length, front);
  const longest = Math.max(...feeds.map(({ continuation }) => continuation.row.length));
  const filled = length === 1 ? capacity : filledBucket(longest, capacity);
  const places = new Map(choice.rows.map((row, place) => [row, place]));
  const fed = feeds.map((feed): Fed<C> => {
    const { continuation, count } = feed;
    const tokens = count === 0 ? nothing : continuation.pending.splice(0, count);
    const room = continuation.pending.length > 0 ? 0 : continuation.room;
    return { feed, place: places.get(continuation.row)!, tokens, room };
  });
  const runs = length === 1 ? Math.min(pace.steps, mostSteps, Math.max(...fed.map(({ room }) => room))) : 1;
  const inputs = Array.from({ length: runs }, (_, step) => inputsOf(fed, choice, { length, step, temperature }));
  const computed = choice.rows.length;
  const rows = length === 1 ? computed : cache.rows.length;
  const shape = { rows, ...(choice.isSubset && { chosen: computed }), length, capacity, filled, greedy };
  const key = `extend ${JSON.stringify([form.lora !== undefined, form.limits, shape])}`;
  const program = await programs.get(key, () => extendGraph(form, shape));
  const beganAt = performance.now();
  const buffers = { get: (name: string) => cache.buffers.get(name) ?? weights.get(name) };
  const results = device.runSeries(program, { inputs, buffers });
  // who begins others first hears of a failure from those
  results.catch(() => undefined);
  return {
    runs,
    take: async () => {
      const taken = takeTokens(fed, await results, length, onToken);
      pace.finished(beganAt, length === 1 ? runs : undefined);
      return taken;
    },
  };
}

const nothing: readonly number[] = [];

/** A continuation in the runs of an extension. */
interface Fed<C extends Continuation> {
  readonly feed: Feed<C>;
  /** Of its row among those that are computed. */
  readonly place: number;
  /** Those of its pending tokens that it is fed. */
  readonly tokens: readonly number[];
  /** How many tokens may be sampled for it. */
  readonly room: number;
}

/** The rows of a cache that are computed. */
interface RowChoice {
  readonly rows: readonly Row[];
  /** Of these, the ones that only fill up the program. */
  readonly padding: ReadonlySet<Row>;
  /** Whether they are not the cache's first ones. */
  readonly isSubset: boolean;
}

/**
 * One token is sampled for the first rows of the cache, as many as hold all that are asked for; a chunk of a prompt costs so much more that
 * only the rows that are fed are computed, and to fill up the program some others, in vain.
 */
function chooseRows<C extends Continuation>(cache: KeyValueCache, feeds: readonly Feed<C>[], length: number, front?: number): RowChoice {
  const held = feeds.map(({ continuation }) => continuation.row);
  const needed = length === 1 ? (front ?? Math.max(...held.map(({ index }) => index)) + 1) : feeds.length;
  const computed = Math.min(cache.rows.length, rowBucket(needed));
  if (length === 1 || computed === cache.rows.length) return { rows: cache.rows.slice(0, computed), padding: new Set(), isSubset: false };
  const padding = cache.rows.filter((row) => !held.includes(row)).slice(0, computed - feeds.length);
  return { rows: [...held, ...padding], padding: new Set(padding), isSubset: true };
}

/** The inputs of one run. The rows are longer afterwards by what they are fed. */
function inputsOf<C extends Continuation>(
  fed: readonly Fed<C>[],
  { rows, padding, isSubset }: RowChoice,
  { length, step, temperature }: { readonly length: number; readonly step: number; readonly temperature: number },
): Record<string, NumberArray> {
  const computed = rows.length;
  const inputs = {
    // What is computed for a row that nobody asks for stands after what the row holds. Padding writes nothing, and attends to nothing.
    lengths: new Int32Array(computed),
    counts: new Int32Array(computed),
    uniform: new Float32Array(computed),
    temperature: Float32Array.of(temperature),
  };
  for (const [place, row] of rows.entries()) if (!padding.has(row)) inputs.lengths[place] = row.length;
  const chunk = length > 1 && {
    tokens: new Int32Array(computed * length),
    positions: new Int32Array(computed * length),
    last: Int32Array.from({ length: computed }, (_, place) => place * length),
  };
  for (const { feed, place, tokens, room } of fed) {
    const { continuation } = feed;
    const { row, random } = continuation;
    // the same goes for one that has no room left
    const isSampled = step < room;
    if (chunk) {
      chunk.tokens.set(tokens, place * length);
      for (let i = 0; i < tokens.length; i++) chunk.positions[place * length + i] = row.length + i;
      chunk.last[place] = place * length + Math.max(0, tokens.length - 1);
    }
    inputs.counts[place] = length > 1 ? tokens.length : Number(isSampled);
    row.length += inputs.counts[place]!;
    if (!isSampled) continue;
    continuation.underWay++;
    // 24 bits, so that float32 never rounds up to 1
    inputs.uniform[place] = (random.uint32() >>> 8) / 2 ** 24;
  }
  return { ...inputs, ...chunk, ...(isSubset && { chosen: Int32Array.from(rows, ({ index }) => index) }) };
}

/** Gives the continuations what was sampled for them. → how many tokens they took */
function takeTokens<C extends Continuation>(
  fed: readonly Fed<C>[],
  outputs: readonly Readonly<Record<string, NumberArray>>[],
  length: number,
  onToken: (continuation: C, token: number) => void,
): number {
  // not before the run: the cache never claims keys that a failed one did not write
  for (const { feed, tokens } of fed) feed.continuation.row.tokens.push(...tokens);
  let taken = 0;
  for (const [step, { tokens, logProbs, values }] of outputs.entries()) {
    for (const { feed, place, room } of fed) {
      const { continuation, signal } = feed;
      if (continuation.finishReason !== undefined || signal?.aborted || step >= room) continue;
      // what was sampled before was fed in this step
      if (length === 1) continuation.row.tokens.push(continuation.completion.at(-1)!);
      const token = tokens![place]!;
      continuation.take(token, logProbs![place]!, values![place]!);
      taken++;
      onToken(continuation, token);
    }
  }
  return taken;
}
