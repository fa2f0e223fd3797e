import type { Device, DeviceBuffer, NumberArray } from '../device/index';
import type { Continuation, SampleEnd } from './continuation';
import { type KeyValueCache, rowBucket } from './key-value-cache';
import type { Pace } from './pace';
import type { ProgramCache } from './program-cache';
import { extendGraph, type ModelForm } from './programs';

/** Lengths of the chunks that prompts are fed in. */
const chunkLengths = [8, 16, 32, 64, 128, 256];

/**
 * The length of the chunk in which so many tokens are fed, or begin to be; 1 where there are none, and what was sampled is fed. A chunk that
 * would be mostly padding gives way to two smaller ones.
 */
export function chunkLength(tokens: number): number {
  if (tokens === 0) return 1;
  const length = chunkLengths.find((size) => size >= tokens) ?? chunkLengths.at(-1)!;
  return tokens > (3 / 4) * length || length <= 16 ? length : length / 2;
}

/** The numbers of cached entries that programs are compiled for: none, which is several times as fast, or 64, 128, 256 and so on. */
function filledBucket(entries: number, capacity: number): number {
  if (entries === 0) return 0;
  let size = 64;
  while (size < entries) size *= 2;
  return Math.min(size, capacity);
}

/** What continues texts: a model on a device, and the cache that they have their rows in. */
export interface Extender {
  readonly device: Device;
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
  readonly end: SampleEnd;
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
  const held = feeds.map(({ continuation: { row } }) => row);
  // One token is sampled for the first rows of the cache, as many as hold all that are asked for; a chunk of a prompt costs so much more that
  // only the rows that are fed are computed, and to fill up the program some others, in vain.
  const needed = length === 1 ? (front ?? Math.max(...held.map(({ index }) => index)) + 1) : feeds.length;
  const computed = Math.min(cache.rows.length, rowBucket(needed));
  const isSubset = length > 1 && computed < cache.rows.length;
  const padding = isSubset ? cache.rows.filter((row) => !held.includes(row)).slice(0, computed - feeds.length) : [];
  const chosen = isSubset ? [...held, ...padding] : cache.rows.slice(0, computed);
  const places = held.map((row) => chosen.indexOf(row));
  const filled = length === 1 ? capacity : filledBucket(Math.max(...held.map((row) => row.length)), capacity);
  const given = feeds.map(({ continuation, count }) => continuation.pending.splice(0, count));
  const rooms = feeds.map(({ continuation, end }) => (continuation.pending.length > 0 ? 0 : continuation.room(end)));
  const runs = length === 1 ? Math.min(pace.steps, mostSteps, Math.max(...rooms)) : 1;
  const series = Array.from({ length: runs }, (_, step) => {
    const inputs = {
      // What is computed for a row that nobody asks for stands after what the row holds. Padding writes nothing, and attends to nothing.
      lengths: Int32Array.from(chosen, (row) => (padding.includes(row) ? 0 : row.length)),
      counts: new Int32Array(computed),
      uniform: new Float32Array(computed),
      temperature: Float32Array.of(temperature),
    };
    const chunk = {
      tokens: new Int32Array(computed * length),
      positions: new Int32Array(computed * length),
      last: Int32Array.from({ length: computed }, (_, place) => place * length),
    };
    for (const [index, { continuation }] of feeds.entries()) {
      const { random } = continuation;
      const place = places[index]!;
      const own = given[index]!;
      // the same goes for one that has no room left
      const position = held[index]!.length;
      const isSampled = step < rooms[index]!;
      chunk.tokens.set(own, place * length);
      for (let i = 0; i < own.length; i++) chunk.positions[place * length + i] = position + i;
      chunk.last[place] = place * length + Math.max(0, own.length - 1);
      inputs.counts[place] = length > 1 ? own.length : Number(isSampled);
      held[index]!.length += inputs.counts[place]!;
      if (!isSampled) continue;
      continuation.underWay++;
      // 24 bits, so that float32 never rounds up to 1
      inputs.uniform[place] = (random.uint32() >>> 8) / 2 ** 24;
    }
    return { ...inputs, ...(length > 1 && chunk), ...(isSubset && { chosen: Int32Array.from(chosen, ({ index }) => index) }) };
  });
  const rows = length === 1 ? computed : cache.rows.length;
  const shape = { rows, ...(isSubset && { chosen: computed }), length, capacity, filled, greedy };
  const key = `extend ${JSON.stringify([form.lora !== undefined, form.limits, shape])}`;
  const program = await programs.get(key, () => extendGraph(form, shape));
  const beganAt = performance.now();
  const results = device.runSeries(program, {
    inputs: series,
    buffers: { get: (name) => cache.buffers.get(name) ?? weights.get(name) },
  });
  // who begins others first hears of a failure from those
  results.catch(() => undefined);

  function takeTokens(outputs: readonly Readonly<Record<string, NumberArray>>[]): number {
    // not before the run: the cache never claims keys that a failed one did not write
    for (const [index, { tokens }] of held.entries()) tokens.push(...given[index]!);
    let taken = 0;
    for (const [step, { tokens, logProbs, values }] of outputs.entries()) {
      for (const [index, { continuation, end, signal }] of feeds.entries()) {
        if (continuation.finishReason !== undefined || signal?.aborted || step >= rooms[index]!) continue;
        // what was sampled before was fed in this step
        if (length === 1) held[index]!.tokens.push(continuation.completion.at(-1)!);
        const place = places[index]!;
        const token = tokens![place]!;
        continuation.take(token, logProbs![place]!, values![place]!, end);
        taken++;
        onToken(continuation, token);
      }
    }
    return taken;
  }

  return {
    runs,
    take: async () => {
      const taken = takeTokens(await results);
      pace.finished(beganAt, length === 1 ? runs : undefined);
      return taken;
    },
  };
}
