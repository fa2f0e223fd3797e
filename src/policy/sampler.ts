import type { Device, DeviceBuffer } from '../device/index';
import { throwIfAborted } from '../errors';
import { Continuation, checkPrompt, roomFor, type Sample, type SampleRequest } from './continuation';
import { type ExtendSettings, type Extension, extend } from './extension';
import { KeyValueCache, keepPrefix } from './key-value-cache';
import { Pace } from './pace';
import type { ProgramCache } from './program-cache';
import { chunkLength } from './program-sizes';
import type { ModelForm } from './programs';

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

/**
 * Tokens after which the rows whose texts have ended are left out. When that is found out depends on time, and which rows are computed together
 * must not.
 */
const stepsTogether = 32;

/**
 * Samples whole batches with a key/value cache that outlives a call: a dialogue's next turn computes only what was added to it. Who is in
 * the batch is settled when it begins, so that what it comes to does not depend on time.
 */
export class Sampler {
  readonly #cache: KeyValueCache;
  readonly #pace = new Pace();

  constructor(
    readonly device: Device,
    readonly programs: ProgramCache,
    readonly form: ModelForm,
  ) {
    this.#cache = new KeyValueCache(device, form.config);
  }

  async sample(weights: ReadonlyMap<string, DeviceBuffer>, requests: readonly SampleRequest[], options: SampleOptions): Promise<Sample[]> {
    const { stopTokens, maxNewTokens } = options;
    const { maxPositions } = options.form.config;
    for (const { prompt } of requests) checkPrompt(prompt, maxPositions);
    const rows = await this.#cache.reserve(
      requests.map(({ owner, prompt }) => ({ owner, tokens: roomFor(prompt, maxNewTokens, maxPositions) })),
    );
    const batch = requests.map((request, index) => {
      const row = rows[index]!;
      return new Continuation(request, row, keepPrefix(row, request.prompt), { stopTokens, maxNewTokens, maxPositions });
    });
    const underWay: Extension[] = [];
    const take = async (most: number) => {
      while (underWay.length > most) await underWay.shift()!.take();
    };
    let steps = 0;
    let front = 0;
    try {
      for (;;) {
        throwIfAborted(options.signal);
        if (steps % stepsTogether === 0) await take(0);
        const active = batch.filter((continuation) => continuation.finishReason === undefined && continuation.room > 0);
        if (active.length === 0 && underWay.length === 0) break;
        if (active.length > 0) {
          if (steps % stepsTogether === 0) front = this.#cache.gather(active.map(({ row }) => row));
          const isRead = active.every(({ pending }) => pending.length === 0);
          const begun = await this.#extend(weights, batch, active, { front, mostSteps: stepsTogether - (steps % stepsTogether) }, options);
          underWay.push(begun);
          if (isRead) steps += begun.runs;
        }
        await take(active.length > 0 ? this.#pace.ahead : 0);
      }
    } finally {
      this.#cache.trim();
    }
    return batch.map(({ sample }) => sample);
  }

  release(owners: Iterable<string>): void {
    this.#cache.release(owners);
  }

  /** The weights changed. */
  invalidate(): void {
    this.#cache.invalidate();
  }

  /** Begins to feed a chunk of what is pending to every row; those with nothing left pending get new tokens. */
  async #extend(
    weights: ReadonlyMap<string, DeviceBuffer>,
    batch: readonly Continuation[],
    active: readonly Continuation[],
    limits: Pick<ExtendSettings, 'front' | 'mostSteps'>,
    options: SampleOptions,
  ): Promise<Extension> {
    const { signal, onToken } = options;
    const most = Math.max(...active.map(({ pending }) => pending.length));
    const length = chunkLength(most);
    // while others still have chunks to come, a row keeps one token for the last of them, so that all rows sample from one run
    const count = ({ pending }: Continuation) => (most > length ? Math.min(length, pending.length - 1) : pending.length);
    return extend(
      { device: this.device, programs: this.programs, cache: this.#cache, weights },
      active.map((continuation) => ({ continuation, count: count(continuation), signal })),
      { ...options, ...limits, length, pace: this.#pace },
      (continuation, token) => onToken?.(batch.indexOf(continuation), token),
    );
  }
}
