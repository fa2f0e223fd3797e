import type { Device, DeviceBuffer } from '../device/index';
import { RlpaError } from '../errors';
import { Random } from '../random';
import { type KeyValueCache, rowBucket } from './key-value-cache';
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
}

/** What was sampled after a continuation's last token. */
export interface Extension<C extends Continuation> {
  readonly continuation: C;
  readonly token: number;
  readonly logProb: number;
  readonly value: number;
}

/** One run of the model: feeds each continuation the given number of its pending tokens, and samples for those that have none left. */
export async function extend<C extends Continuation>(
  { device, programs, cache, weights }: Extender,
  feeds: readonly { readonly continuation: C; readonly count: number }[],
  { form, temperature, greedy, length, compact }: ExtendSettings,
): Promise<Extension<C>[]> {
  const { capacity } = cache;
  const rows = cache.rows.length;
  const computed = compact ? Math.min(rowBucket(feeds.length), rows) : rows;
  const chosen = computed < rows ? computed : undefined;
  // so a dialogue begins, and every dialogue under way goes on after an update: worth a program that leaves the empty cache alone
  const fresh = length > 1 && feeds.every(({ continuation: { row } }) => cache.rows[row]!.tokens.length === 0);
  const inputs = {
    tokens: new Int32Array(computed * length),
    positions: new Int32Array(computed * length),
    lengths: new Int32Array(computed),
    counts: new Int32Array(rows),
    uniform: new Float32Array(computed),
  };
  const last = Int32Array.from({ length: computed }, (_, place) => place * length);
  const subset = { chosen: new Int32Array(computed), places: new Int32Array(rows), offsets: new Int32Array(rows) };
  const sampling: { readonly continuation: C; readonly place: number }[] = [];
  const taken: { readonly held: { tokens: number[] }; readonly fed: readonly number[] }[] = [];
  for (const [index, { continuation, count }] of feeds.entries()) {
    const { row, pending, random } = continuation;
    const place = chosen === undefined ? row : index;
    const held = cache.rows[row]!;
    const fed = pending.splice(0, count);
    const position = held.tokens.length;
    subset.chosen[place] = row;
    subset.places[row] = place;
    subset.offsets[row] = position;
    inputs.lengths[place] = position;
    inputs.counts[row] = fed.length;
    for (let i = 0; i < fed.length; i++) {
      inputs.tokens[place * length + i] = fed[i]!;
      inputs.positions[place * length + i] = position + i;
    }
    last[place] = place * length + Math.max(0, fed.length - 1);
    taken.push({ held, fed });
    if (pending.length > 0) continue;
    sampling.push({ continuation, place });
    // 24 bits, so that float32 never rounds up to 1
    inputs.uniform[place] = (random.uint32() >>> 8) / 2 ** 24;
  }
  const key = `extend ${JSON.stringify([form.lora !== undefined, form.limits, rows, chosen, length, capacity, fresh, greedy])}`;
  const program = await programs.get(key, () => extendGraph(form, { rows, chosen, length, capacity, fresh, greedy }));
  const result = await device.run(program, {
    inputs: {
      ...inputs,
      ...(length > 1 && { last }),
      ...(chosen !== undefined && subset),
      temperature: Float32Array.of(temperature),
    },
    buffers: new Map([...weights, ...cache.buffers]),
  });
  // not before the run: the cache never claims keys that a failed one did not write
  for (const { held, fed } of taken) held.tokens.push(...fed);
  return sampling.map(({ continuation, place }) => ({
    continuation,
    token: result.tokens![place]!,
    logProb: result.logProbs![place]!,
    value: result.values![place]!,
  }));
}
