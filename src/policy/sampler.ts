import type { Device, DeviceBuffer } from '../device/index';
import { RlpaError, throwIfAborted } from '../errors';
import { Random } from '../random';
import { KeyValueCache } from './key-value-cache';
import type { ProgramCache } from './program-cache';
import { extendGraph, type ModelForm } from './programs';

/** Chunk lengths that prompts are fed in. */
const chunkLengths = [1, 8, 16, 32, 64, 128, 256];

/** One text to be continued. */
export interface SampleRequest {
  /** Whose cache row it is. */
  readonly owner: string;
  readonly prompt: Int32Array;
  readonly seed: number;
}

export interface SampleOptions {
  readonly form: ModelForm;
  readonly temperature: number;
  readonly greedy: boolean;
  readonly maxNewTokens: number;
  readonly stopTokens: ReadonlySet<number>;
  readonly signal?: AbortSignal;
  /** Told of each token as it is sampled, with the index of its request. */
  readonly onToken?: (request: number, token: number) => void;
}

export interface Sample {
  readonly completion: Int32Array;
  readonly logProbs: Float32Array;
  readonly values: Float32Array;
  readonly finishReason: 'stop' | 'length';
}

interface Stream {
  readonly request: SampleRequest;
  readonly row: number;
  readonly random: Random;
  /** Tokens that are not in the cache yet. */
  pending: number[];
  readonly completion: number[];
  readonly logProbs: number[];
  readonly values: number[];
  finishReason: 'stop' | 'length' | undefined;
}

/** Batched sampling with a key/value cache that outlives a call: a dialogue's next turn computes only what was added to it. */
export class Sampler {
  readonly #cache: KeyValueCache;

  constructor(
    readonly device: Device,
    readonly programs: ProgramCache,
    readonly form: ModelForm,
  ) {
    this.#cache = new KeyValueCache(device, form.config);
  }

  async sample(weights: ReadonlyMap<string, DeviceBuffer>, requests: readonly SampleRequest[], options: SampleOptions): Promise<Sample[]> {
    const { maxPositions } = options.form.config;
    for (const { prompt } of requests) {
      if (prompt.length >= maxPositions) {
        throw new RlpaError(
          'model-failed',
          `The prompt has ${prompt.length} tokens; the model reads at most ${maxPositions}, one of them its answer's.`,
          {
            prompt: prompt.length,
            maxPositions,
          },
        );
      }
    }
    const rows = await this.#cache.reserve(
      requests.map(({ owner, prompt }) => ({ owner, tokens: Math.min(prompt.length + options.maxNewTokens, maxPositions) })),
    );
    const streams = requests.map((request, index): Stream => {
      const held = this.#cache.rows[rows[index]!]!;
      const shared = commonPrefix(held.tokens, request.prompt);
      // the last token is always fed: its hidden state gives the next one
      const kept = Math.min(shared, request.prompt.length - 1);
      held.tokens.length = kept;
      return {
        request,
        row: rows[index]!,
        random: new Random(request.seed),
        pending: Array.from(request.prompt.subarray(kept)),
        completion: [],
        logProbs: [],
        values: [],
        finishReason: undefined,
      };
    });
    while (streams.some(({ finishReason }) => finishReason === undefined)) {
      throwIfAborted(options.signal);
      await this.#step(weights, streams, options);
    }
    return streams.map(({ completion, logProbs, values, finishReason }) => ({
      completion: Int32Array.from(completion),
      logProbs: Float32Array.from(logProbs),
      values: Float32Array.from(values),
      finishReason: finishReason!,
    }));
  }

  release(owners: Iterable<string>): void {
    this.#cache.release(owners);
  }

  /** The weights changed. */
  invalidate(): void {
    this.#cache.invalidate();
  }

  clear(): void {
    this.#cache.clear();
  }

  /** Feeds a chunk of what is pending to every unfinished row; rows with nothing left pending get a new token. */
  async #step(weights: ReadonlyMap<string, DeviceBuffer>, streams: readonly Stream[], options: SampleOptions): Promise<void> {
    const { greedy, temperature, form } = options;
    const active = streams.filter(({ finishReason }) => finishReason === undefined);
    const most = Math.max(...active.map(({ pending }) => pending.length));
    const length = chunkLengths.find((size) => size >= most) ?? chunkLengths.at(-1)!;
    const rows = this.#cache.rows.length;
    const capacity = this.#cache.capacity;
    // so a dialogue begins, and every dialogue under way goes on after an update: worth a program that leaves the empty cache alone
    const fresh = length > 1 && active.every(({ row }) => this.#cache.rows[row]!.tokens.length === 0);
    const inputs = {
      tokens: new Int32Array(rows * length),
      positions: new Int32Array(rows * length),
      lengths: new Int32Array(rows),
      counts: new Int32Array(rows),
      last: new Int32Array(rows),
      uniform: new Float32Array(rows),
    };
    for (let row = 0; row < rows; row++) inputs.last[row] = row * length;
    const sampling: Stream[] = [];
    const taken: { readonly held: { tokens: number[] }; readonly fed: readonly number[] }[] = [];
    for (const stream of active) {
      const { row, pending } = stream;
      const held = this.#cache.rows[row]!;
      // while others still have chunks to come, a row keeps one token for the last of them, so that all rows sample from one run
      const fed = pending.splice(0, most > length ? Math.min(length, pending.length - 1) : pending.length);
      inputs.lengths[row] = held.tokens.length;
      inputs.counts[row] = fed.length;
      fed.forEach((token, i) => {
        inputs.tokens[row * length + i] = token;
        inputs.positions[row * length + i] = held.tokens.length + i;
      });
      inputs.last[row] = row * length + Math.max(0, fed.length - 1);
      taken.push({ held, fed });
      if (pending.length > 0) continue;
      sampling.push(stream);
      // 24 bits, so that float32 never rounds up to 1
      inputs.uniform[row] = (stream.random.uint32() >>> 8) / 2 ** 24;
    }
    const key = `extend ${JSON.stringify([form.lora !== undefined, form.limits, rows, length, capacity, fresh, greedy])}`;
    const program = await this.programs.get(key, () => extendGraph(form, { rows, length, capacity, fresh, greedy }));
    const { last, ...common } = inputs;
    const result = await this.device.run(program, {
      inputs: { ...common, ...(length > 1 ? { last } : {}), temperature: Float32Array.of(temperature) },
      buffers: new Map([...weights, ...this.#cache.buffers]),
    });
    // not before the run: the cache never claims keys that a failed one did not write
    for (const { held, fed } of taken) held.tokens.push(...fed);
    for (const stream of sampling) {
      const token = result.tokens![stream.row]!;
      stream.completion.push(token);
      stream.logProbs.push(result.logProbs![stream.row]!);
      stream.values.push(result.values![stream.row]!);
      options.onToken?.(streams.indexOf(stream), token);
      const total = stream.request.prompt.length + stream.completion.length;
      if (options.stopTokens.has(token)) stream.finishReason = 'stop';
      else if (stream.completion.length >= options.maxNewTokens || total >= form.config.maxPositions) stream.finishReason = 'length';
      else stream.pending = [token];
    }
  }
}

function commonPrefix(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
