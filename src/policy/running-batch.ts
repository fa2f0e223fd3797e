import type { Device, DeviceBuffer, DeviceLane } from '../device/index';
import { abortedError, type ErrorCode, RlpaError, throwIfAborted } from '../errors';
import { Continuation, checkPrompt, roomFor, type Sample } from './continuation';
import { type Extension, extend } from './extension';
import { KeyValueCache, keepPrefix, type Row } from './key-value-cache';
import { Pace } from './pace';
import type { ProgramCache } from './program-cache';
import { chunkLength, rowParts, usualChunk } from './program-sizes';
import type { ModelForm } from './programs';
import type { WeightsLock } from './weights-lock';

/** A text to be continued in the {@link RunningBatch}. */
export interface RunningRequest {
  readonly prompt: Int32Array;
  readonly seed: number;
  readonly form: ModelForm;
  readonly temperature: number;
  readonly greedy: boolean;
  readonly maxNewTokens: number;
  readonly signal?: AbortSignal;
  /** Told of each token as it is sampled. */
  readonly onToken?: (token: number) => void;
  /** Told of it too, and says whether the text ends with it, as it does with a stop token. */
  readonly isEnd?: (token: number) => boolean;
}

/** What a policy's running batch does and has done. */
export interface SamplingCounters {
  /** Requests that have no row yet. */
  readonly waiting: number;
  /** Requests in the batch. */
  readonly running: number;
  /** Tokens that were sampled so far. */
  readonly tokens: number;
  /** Tokens of prompts so far that were not computed again: the cache held them from earlier requests. */
  readonly reused: number;
  /** Runs of the model so far, which fed prompts or sampled a token for each request in the batch. */
  readonly steps: number;
}

export interface RunningBatchHost {
  readonly device: Device;
  readonly programs: ProgramCache;
  readonly form: ModelForm;
  readonly stopTokens: ReadonlySet<number>;
  readonly lock: WeightsLock;
  weights(): ReadonlyMap<string, DeviceBuffer>;
}

/** Where a batch is computed while there are others beside it. */
export interface BatchLane {
  readonly device: DeviceLane;
  readonly programs: ProgramCache;
  /** Whether there are others. */
  isShared(): boolean;
}

/** Most requests in the batch; the others wait. */
const maxRows = 32;

/** Milliseconds that a token takes at most of a model that is quick: what is done for newcomers holds the others up for little. */
const quickMs = 8;

/** Tokens of each newcomer's prompt that are fed before the others go on, if the model is quick; few newcomers are fed best in one run. */
const quickChunk = 512;

class Running extends Continuation {
  /** Of the distribution that it is sampled from. */
  readonly key: string;
  #failure: RlpaError | undefined;

  constructor(
    owner: string,
    row: Row,
    readonly demand: RunningRequest,
    readonly settle: (result: Sample | RlpaError) => void,
    stopTokens: ReadonlySet<number>,
  ) {
    const { prompt, seed, temperature, greedy, form, maxNewTokens } = demand;
    const end = { stopTokens, maxNewTokens, maxPositions: form.config.maxPositions };
    super({ owner, prompt, seed }, row, keepPrefix(row, prompt), end);
    this.key = JSON.stringify([temperature, greedy, form.limits]);
  }

  /** What the request's own functions throw ends it, and none of the others. */
  fail(error: unknown): void {
    this.#failure = asFailure(error, 'model-failed');
    this.finishReason = 'stop';
  }

  get result(): Sample | RlpaError {
    return this.#failure ?? this.sample;
  }
}

interface Waiting {
  readonly demand: RunningRequest;
  readonly settle: (result: Sample | RlpaError) => void;
}

/**
 * Continuous batching: a request that arrives while others are being sampled joins them within milliseconds, and one that is finished or
 * aborted leaves at once. Each step first feeds the newcomers' prompts, or a part of them, computing their rows only, then samples a few tokens
 * for every request whose prompt is read, as many at a time and as far ahead as {@link Pace} says.
 *
 * What a request has left in the cache stays until others need the room: when a dialogue comes back, only what is new of its prompt is read.
 *
 * Which rows are computed together depends on time, so a request's numbers may differ from one run to the next by rounding. Training, which
 * must not, samples by `Sampler`.
 */
export class RunningBatch {
  readonly #host: RunningBatchHost;
  readonly #lane: BatchLane | undefined;
  readonly #cache: KeyValueCache;
  #waiting: Waiting[] = [];
  #running: Running[] = [];
  #count = 0;
  readonly #pace = new Pace();
  #tokens = 0;
  #reused = 0;
  #steps = 0;
  #isBusy = false;

  constructor(host: RunningBatchHost, lane?: BatchLane) {
    this.#host = host;
    this.#lane = lane;
    this.#cache = new KeyValueCache(lane?.device ?? host.device, host.form.config);
  }

  /** How many requests it has. */
  get size(): number {
    return this.#waiting.length + this.#running.length;
  }

  /** Whether a token takes so little time that newcomers hold the others up for little. */
  get isQuick(): boolean {
    return this.#pace.stepMs !== undefined && this.#pace.stepMs <= quickMs;
  }

  /** Whether a dialogue that comes back with this prompt would go on from what it has left here. */
  holds(prompt: Int32Array): boolean {
    return this.#cache.holds(prompt);
  }

  get counters(): SamplingCounters {
    const [tokens, reused, steps] = [this.#tokens, this.#reused, this.#steps];
    return { waiting: this.#waiting.length, running: this.#running.length, tokens, reused, steps };
  }

  /** @throws `model-failed` for a prompt that is too long, `device-failed`, `aborted` or the signal's own reason */
  async sample(demand: RunningRequest): Promise<Sample> {
    const { signal, prompt, form } = demand;
    checkPrompt(prompt, form.config.maxPositions);
    throwIfAborted(signal);
    return new Promise((resolve, reject) => {
      const settle = (result: Sample | RlpaError) => {
        signal?.removeEventListener('abort', onAbort);
        if (RlpaError.isInstance(result)) reject(result);
        else resolve(result);
      };
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((each) => each !== waiting);
        reject(abortedError(signal!));
      };
      const waiting = { demand, settle };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
      if (!this.#isBusy) this.#run();
    });
  }

  /** The weights changed: what was computed by the old ones is computed again. */
  invalidate(): void {
    this.#cache.invalidate();
    for (const running of this.#running) running.restart();
  }

  /** Steps as long as there is anything to do. Others get the weights in between. */
  async #run(): Promise<void> {
    this.#isBusy = true;
    while (this.size > 0) {
      try {
        await this.#host.lock.shared(() => this.#sampleOn());
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#isBusy = false;
  }

  /** Step after step, until nobody is left or somebody else waits for the weights. */
  async #sampleOn(): Promise<void> {
    const underWay: Extension[] = [];
    const take = async (most: number) => {
      while (underWay.length > most) {
        this.#tokens += await underWay.shift()!.take();
        this.#leave(({ finishReason }) => finishReason !== undefined);
      }
    };
    do {
      this.#leave((running) => running.demand.signal?.aborted ?? false);
      await this.#admit();
      const fed = await this.#feed();
      const read = this.#running.filter((running) => running.pending.length === 0 && running.room > 0);
      this.#cache.gather(read.map(({ row }) => row));
      const sampled = await this.#extend(read);
      underWay.push(...fed, ...sampled);
      await take(sampled.length > 0 ? this.#pace.ahead : 0);
    } while (!this.#host.lock.isWanted && this.size > 0);
    await take(0);
    if (this.size === 0) await this.#cache.giveBack();
  }

  /** Feeds the newcomers' prompts: whole, where the chunks of the longest do not make more than a step's tokens. */
  async #feed(): Promise<Extension[]> {
    const begun: Extension[] = [];
    const isNew = ({ pending }: Running) => pending.length > 0;
    let newcomers = this.#running.filter(isNew);
    // of many newcomers no more at a time than of all rows usually
    const most = this.isQuick ? Math.min(quickChunk, (maxRows * usualChunk) / newcomers.length) : usualChunk;
    for (let left = most; newcomers.length > 0; newcomers = newcomers.filter(isNew)) {
      left -= Math.max(...newcomers.map(({ pending }) => chunkLength(pending.length, most)));
      if (left < 0) break;
      begun.push(...(await this.#extend(newcomers, most)));
    }
    return begun;
  }

  async #admit(): Promise<void> {
    const admitted = this.#waiting.splice(0, maxRows - this.#running.length);
    if (admitted.length === 0) return;
    const owners = admitted.map(() => `request ${this.#count++}`);
    try {
      const room = ({ prompt, maxNewTokens, form }: RunningRequest) => roomFor(prompt, maxNewTokens, form.config.maxPositions);
      await this.#cache.shrink(Math.max(...[...this.#running, ...admitted].map(({ demand }) => room(demand))));
      const rows = await this.#cache.reserve(
        admitted.map(({ demand }, index) => ({ owner: owners[index]!, tokens: room(demand), prompt: demand.prompt })),
      );
      for (const [index, { demand, settle }] of admitted.entries()) {
        const newcomer = new Running(owners[index]!, rows[index]!, demand, settle, this.#host.stopTokens);
        this.#reused += newcomer.cached;
        this.#running.push(newcomer);
      }
    } catch (error) {
      for (const { settle } of admitted) settle(asFailure(error));
      throw error;
    }
  }

  /** @param longest chunk of a prompt */
  async #extend(batch: readonly Running[], longest = usualChunk): Promise<Extension[]> {
    const { device, programs } = this.#lane?.isShared() ? this.#lane : this.#host;
    const weights = this.#host.weights();
    const begun: Extension[] = [];
    for (const { group, length } of this.#groups(batch, longest)) {
      const { form, temperature, greedy } = group[0]!.demand;
      const extension = await extend(
        { device, programs, cache: this.#cache, weights },
        group.map((continuation) => ({
          continuation,
          count: length === 1 ? 0 : length,
          signal: continuation.demand.signal,
        })),
        { form, temperature, greedy, length, pace: this.#pace },
        (continuation, token) => {
          const { onToken, isEnd } = continuation.demand;
          try {
            onToken?.(token);
            if (isEnd?.(token)) continuation.finishReason = 'stop';
          } catch (error) {
            continuation.fail(error);
          }
        },
      );
      this.#steps += extension.runs;
      begun.push(extension);
    }
    return begun;
  }

  /**
   * Those that one run can compute: sampled in one way, with chunks of one length, and of prompts that all begin or all go on, for a run
   * that finds nothing in the cache is several times as fast. Of prompts no more than fill a program.
   */
  #groups(batch: readonly Running[], longest: number): { readonly group: readonly Running[]; readonly length: number }[] {
    const found = new Map<string, { readonly group: Running[]; readonly length: number }>();
    for (const running of batch) {
      const length = chunkLength(running.pending.length, longest);
      const isFresh = running.row.length === 0;
      const key = `${running.key} ${length} ${isFresh}`;
      const known = found.get(key);
      if (known) known.group.push(running);
      else found.set(key, { group: [running], length });
    }
    return [...found.values()].flatMap(({ group, length }) =>
      length === 1 ? { group, length } : rowParts(group.length).map((rows) => ({ group: group.splice(0, rows), length })),
    );
  }

  #leave(isGone: (running: Running) => boolean): void {
    const gone = this.#running.filter(isGone);
    if (gone.length === 0) return;
    this.#running = this.#running.filter((running) => !isGone(running));
    this.#cache.retire(gone.map(({ request }) => request.owner));
    // those that were aborted are settled already
    for (const running of gone) if (running.finishReason !== undefined) running.settle(running.result);
  }

  /** The device failed, and nothing in the cache can be relied on. */
  #fail(error: unknown): void {
    const failure = asFailure(error);
    for (const { settle } of this.#running) settle(failure);
    this.#running = [];
    this.#cache.clear();
  }
}

function asFailure(error: unknown, code: ErrorCode = 'device-failed'): RlpaError {
  if (RlpaError.isInstance(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RlpaError(code, `Sampling failed: ${reason}`, {}, { cause: error });
}
