import type { Device, DeviceBuffer } from '../device/index';
import { RlpaError } from '../errors';
import { Random } from '../random';
import { type KeyValueCache, rowBucket } from './key-value-cache';
import type { Pace } from './pace';
import type { ProgramCache } from './program-cache';
import { extendGraph, type ModelForm } from './programs';

/** Chunk lengths that prompts are fed in. */
const chunkLengths = [1, 8, 16, 32, 64, 128, 256];

/** The length of the chunk in which so many tokens are fed, or begin to be. */
export function chunkLength(tokens: number): number {
  return chunkLengths.find((size) => size >= tokens) ?? chunkLengths.at(-1)!;
}

/** One text to be continued. */
export interface SampleRequest {
  /** Whose cache row it is. */
  readonly owner: string;
  readonly prompt: Int32Array;
  readonly seed: number;
}

export interface Sample {
  readonly completion: Int32Array;
  readonly logProbs: Float32Array;
  readonly values: Float32Array;
  readonly finishReason: 'stop' | 'length';
}

/** When a text ends. */
export interface SampleEnd {
  readonly stopTokens: ReadonlySet<number>;
  readonly maxNewTokens: number;
  readonly maxPositions: number;
}

/** A text that is being continued in a row of a cache. */
export class Continuation {
  readonly completion: number[] = [];
  readonly #logProbs: number[] = [];
  readonly #values: number[] = [];
  readonly random: Random;
  /** Tokens that are not in the cache yet. */
  pending: number[];
  finishReason: Sample['finishReason'] | undefined;

  /** @param cached how many tokens of the prompt the row holds; the last one is always fed, for its hidden state gives the next one */
  constructor(
    readonly request: SampleRequest,
    readonly row: number,
    cached: number,
  ) {
    this.random = new Random(request.seed);
    this.pending = Array.from(request.prompt.subarray(cached));
  }

  /** How many tokens there is room for; one at least, which ends the text. */
  room({ maxNewTokens, maxPositions }: Omit<SampleEnd, 'stopTokens'>): number {
    const { length } = this.completion;
    return Math.max(1, Math.min(maxNewTokens - length, maxPositions - this.request.prompt.length - length));
  }

  take(token: number, logProb: number, value: number, { stopTokens, maxNewTokens, maxPositions }: SampleEnd): void {
    this.completion.push(token);
    this.#logProbs.push(logProb);
    this.#values.push(value);
    if (stopTokens.has(token)) this.finishReason = 'stop';
    else if (this.completion.length >= maxNewTokens || this.request.prompt.length + this.completion.length >= maxPositions)
      this.finishReason = 'length';
    else this.pending = [token];
  }

  /** What the row held is gone: all is fed again. */
  restart(): void {
    this.pending = [...this.request.prompt, ...this.completion];
  }

  get sample(): Sample {
    return {
      completion: Int32Array.from(this.completion),
      logProbs: Float32Array.from(this.#logProbs),
      values: Float32Array.from(this.#values),
      finishReason: this.finishReason!,
    };
  }
}

/** @throws `model-failed` for a prompt that leaves no room for an answer */
export function checkPrompt({ length }: Int32Array, maxPositions: number): void {
  if (length < maxPositions) return;
  const message = `The prompt has ${length} tokens; the model reads at most ${maxPositions}, one of them its answer's.`;
  throw new RlpaError('model-failed', message, { prompt: length, maxPositions });
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
  /** Compute the rows that are fed and not the whole cache: the same numbers but for rounding, from one program more. */
  readonly compact: boolean;
  /** Says how many tokens to sample where each continuation is fed one, and is told what they took. */
  readonly pace: Pace;
}

/** What a continuation is fed. */
export interface Feed<C extends Continuation> {
  readonly continuation: C;
  /** How many of its pending tokens. */
  readonly count: number;
  readonly end: SampleEnd;
  /** Once it fires, the continuation takes no more tokens. */
  readonly signal?: AbortSignal;
}

/**
 * Runs the model: feeds each continuation the given number of its pending tokens, and samples for those that have none left; then, where every
 * one is fed a single token, goes on with what was sampled, at the given pace unless nobody has room for so many tokens. What is sampled for a
 * continuation after its end is dropped.
 *
 * @param onToken told of each token once its continuation has taken it
 * @returns how often the model ran, and how many tokens were taken
 */
export async function extend<C extends Continuation>(
  { device, programs, cache, weights }: Extender,
  feeds: readonly Feed<C>[],
  { form, temperature, greedy, length, compact, pace }: ExtendSettings,
  onToken: (continuation: C, token: number) => void,
): Promise<{ readonly runs: number; readonly tokens: number }> {
  const startedAt = performance.now();
  const { capacity } = cache;
  const rows = cache.rows.length;
  const bucket = rowBucket(feeds.length);
  // one token costs little in rows that nobody asks for: to bring the others together costs more, unless they are few
  const computed = compact && (length > 1 ? bucket < rows : 2 * bucket <= rows) ? bucket : rows;
  const chosen = computed < rows ? computed : undefined;
  // so a dialogue begins, and every dialogue under way goes on after an update: worth a program that leaves the empty cache alone
  const fresh = length > 1 && feeds.every(({ continuation: { row } }) => cache.rows[row]!.tokens.length === 0);
  const places = feeds.map(({ continuation: { row } }, index) => (chosen === undefined ? row : index));
  const fed = feeds.map(({ continuation, count }) => continuation.pending.splice(0, count));
  const ends = feeds.map(({ continuation, end }) => (continuation.pending.length > 0 ? 0 : continuation.room(end)));
  const series = Array.from({ length: length === 1 ? Math.min(pace.steps, Math.max(1, ...ends)) : 1 }, (_, step) => {
    const inputs = {
      lengths: new Int32Array(computed),
      counts: new Int32Array(rows),
      uniform: new Float32Array(computed),
      temperature: Float32Array.of(temperature),
    };
    const tokens = new Int32Array(computed * length);
    const positions = new Int32Array(computed * length);
    const last = Int32Array.from({ length: computed }, (_, place) => place * length);
    const subset = { chosen: new Int32Array(computed), places: new Int32Array(rows), offsets: new Int32Array(rows) };
    // what is computed for a row that nobody asks for stands after what the row holds
    if (chosen === undefined) for (const [row, held] of cache.rows.entries()) inputs.lengths[row] = held.tokens.length;
    for (const [index, { continuation }] of feeds.entries()) {
      const { row, random } = continuation;
      const place = places[index]!;
      const own = fed[index]!;
      // the same goes for one that has no room left
      const position = cache.rows[row]!.tokens.length + Math.min(step, ends[index]!);
      subset.chosen[place] = row;
      subset.places[row] = place;
      subset.offsets[row] = position;
      inputs.lengths[place] = position;
      tokens.set(own, place * length);
      for (let i = 0; i < own.length; i++) positions[place * length + i] = position + i;
      last[place] = place * length + Math.max(0, own.length - 1);
      inputs.counts[row] = step === 0 || step < ends[index]! ? own.length : 0;
      // 24 bits, so that float32 never rounds up to 1
      if (step < ends[index]!) inputs.uniform[place] = (random.uint32() >>> 8) / 2 ** 24;
    }
    return {
      ...inputs,
      // later ones are what was sampled before
      ...(step === 0 && { tokens }),
      ...(length > 1 && { positions, last }),
      ...(chosen !== undefined && subset),
    };
  });
  const key = `extend ${JSON.stringify([form.lora !== undefined, form.limits, rows, chosen, length, capacity, fresh, greedy])}`;
  const program = await programs.get(key, () => extendGraph(form, { rows, chosen, length, capacity, fresh, greedy }));
  const results = await device.runSeries(program, {
    inputs: series,
    carry: length === 1 ? { tokens: 'tokens' } : {},
    buffers: { get: (name) => cache.buffers.get(name) ?? weights.get(name) },
  });
  // not before the run: the cache never claims keys that a failed one did not write
  for (const [index, { continuation }] of feeds.entries()) cache.rows[continuation.row]!.tokens.push(...fed[index]!);
  let taken = 0;
  for (const [step, { tokens, logProbs, values }] of results.entries()) {
    for (const [index, { continuation, end, signal }] of feeds.entries()) {
      if (continuation.finishReason !== undefined || signal?.aborted || step >= ends[index]!) continue;
      // what it took in the step before was fed in this one; what was fed after its end counts for nothing, and does not depend on the steps
      if (step > 0) cache.rows[continuation.row]!.tokens.push(...continuation.pending.splice(0));
      const place = places[index]!;
      const token = tokens![place]!;
      continuation.take(token, logProbs![place]!, values![place]!, end);
      taken++;
      onToken(continuation, token);
    }
  }
  if (length === 1) pace.stepMs = (performance.now() - startedAt) / results.length;
  return { runs: results.length, tokens: taken };
}
