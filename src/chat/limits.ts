import pLimit from 'p-limit';
import { alarm, checkTimeout } from '../deadline';
import { abortedError, checkKnown, type ErrorCode, invalidOption, RlpaError, throwIfAborted } from '../errors';
import { type ChatModel, type ChatPart, type ChatRequest, type ChatResult, type ChatUsage, modelError } from './chat-model';
import { addUsage, estimateUsage } from './usage';

const defaultTimeoutMs = 60_000;

export interface ChatLimits {
  /** Most calls at a time; the others wait for their turn. Default: any number. */
  readonly concurrency?: number | undefined;
  /** Most tokens, input and output together, over the life of the model. Calls under way are not cut off. Default: any number. */
  readonly tokenBudget?: number | undefined;
  /**
   * Longest that a call may take, in milliseconds, also where its request allows more, as an agent's does with the time of its turn; `Infinity`
   * for no limit. The wait for a turn does not count. By default requests have the time that they name, and 60 000 where they name none.
   */
  readonly timeoutMs?: number | undefined;
}

/** Their names, for what has limits among its own options. */
export const chatLimits = { concurrency: true, tokenBudget: true, timeoutMs: true } satisfies Record<keyof ChatLimits, true>;

export interface ChatStats extends ChatUsage {
  readonly calls: number;
  /** Calls that failed, by the code of their error. */
  readonly failures: Readonly<Partial<Record<ErrorCode, number>>>;
}

/** A chat model that keeps within limits and counts what it does. */
export interface LimitedChatModel extends ChatModel {
  readonly stats: ChatStats;
}

/**
 * Holds any chat model to a deadline, a number of calls at a time and a token budget. A call that waits for its turn ends when its
 * signal fires; a call that has used up the budget is refused before it is sent. What the model throws that is not an `RlpaError`
 * becomes `model-failed`.
 *
 * @throws `invalid-option` for a limit that is not positive.
 * @example
 * import { LocalPolicy, withLimits } from 'rlpa';
 * const policy = await LocalPolicy.load('./runs/1/policy');
 * const model = withLimits(policy.asChatModel(), { concurrency: 4, timeoutMs: 10_000 });
 */
export function withLimits(model: ChatModel, limits: ChatLimits = {}): LimitedChatModel {
  checkKnown('withLimits', limits, chatLimits);
  return limitedFor('withLimits', model, limits);
}

/** The same for what has limits among its own options, which `owner` names in errors. */
export function limitedFor(owner: string, model: ChatModel, limits: ChatLimits): LimitedChatModel {
  const { concurrency = Number.POSITIVE_INFINITY, tokenBudget = Number.POSITIVE_INFINITY, timeoutMs } = limits;
  for (const [option, value] of Object.entries({ concurrency, tokenBudget }))
    if (!(value >= 1 && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY)))
      throw invalidOption(owner, option, 'a whole number of at least 1, or Infinity', value);
  if (timeoutMs !== undefined) checkTimeout(owner, timeoutMs);
  const turns = new Turns(concurrency);
  let stats: ChatStats = { calls: 0, inputTokens: 0, outputTokens: 0, failures: {} };

  function spend(usage: ChatUsage): void {
    stats = { ...stats, ...addUsage(stats, usage) };
  }

  function checkBudget(): void {
    const spent = stats.inputTokens + stats.outputTokens;
    if (spent < tokenBudget) return;
    const message = `Model "${model.name}": the budget of ${tokenBudget} tokens is used up (${spent}).`;
    throw new RlpaError('budget-exceeded', message, { model: model.name, tokenBudget, spent });
  }

  async function begin(request: ChatRequest): Promise<{ request: ChatRequest; signal: AbortSignal; clear(): void; release(): void }> {
    stats = { ...stats, calls: stats.calls + 1 };
    const asked = request.timeoutMs ?? timeoutMs ?? defaultTimeoutMs;
    checkTimeout(owner, asked);
    const ms = Math.min(asked, timeoutMs ?? Number.POSITIVE_INFINITY);
    const release = await turns.take(request.signal);
    try {
      checkBudget();
    } catch (error) {
      release();
      throw error;
    }
    const { signal, clear } = deadline(ms, request.signal, model.name);
    return { request: { ...request, signal, timeoutMs: ms }, signal, clear, release };
  }

  function failed(error: unknown, signal: AbortSignal | undefined): RlpaError {
    const failure = signal?.aborted ? abortedError(signal) : modelError(error, model.name);
    stats = { ...stats, failures: { ...stats.failures, [failure.code]: (stats.failures[failure.code] ?? 0) + 1 } };
    return failure;
  }

  async function generate(original: ChatRequest): Promise<ChatResult> {
    let signal = original.signal;
    try {
      const call = await begin(original);
      signal = call.signal;
      const work = (async () => model.generate(call.request))(); // it may throw at once
      work.then(call.release, call.release); // a model that is slow to stop keeps its turn until it has
      try {
        const result = await untilAborted(work, signal);
        spend(result.usage);
        return result;
      } finally {
        call.clear();
      }
    } catch (error) {
      throw failed(error, signal);
    }
  }

  async function* stream(original: ChatRequest): AsyncIterable<ChatPart> {
    let signal = original.signal;
    try {
      const call = await begin(original);
      signal = call.signal;
      let parts: AsyncIterator<ChatPart> | undefined;
      let text = '';
      let usage: ChatUsage | undefined;
      try {
        parts = model.stream(call.request)[Symbol.asyncIterator]();
        for (;;) {
          const next = await untilAborted(parts.next(), signal);
          if (next.done) break;
          if (next.value.type === 'text') text += next.value.text;
          else usage = next.value.usage;
          yield next.value;
        }
      } finally {
        // What was generated before a break or a failure was paid for as well.
        if (usage !== undefined || text !== '') spend(usage ?? estimateUsage(call.request, text));
        call.clear();
        if (usage === undefined) (async () => parts?.return?.())().then(call.release, call.release);
        else call.release();
      }
    } catch (error) {
      throw failed(error, signal);
    }
  }

  return {
    name: model.name,
    structuredOutput: model.structuredOutput,
    generate,
    stream,
    get stats() {
      return stats;
    },
  };
}

/** At most so many at a time. */
class Turns {
  readonly #limit: ReturnType<typeof pLimit>;

  constructor(concurrency: number) {
    this.#limit = pLimit(concurrency);
  }

  /** Waits for a turn; the function that comes back gives it up. @throws `aborted`, or the signal's own reason. */
  take(signal: AbortSignal | undefined): Promise<() => void> {
    throwIfAborted(signal);
    return new Promise((resolve, reject) => {
      const abort = () => reject(abortedError(signal!));
      signal?.addEventListener('abort', abort, { once: true });
      this.#limit(() => {
        signal?.removeEventListener('abort', abort);
        if (signal?.aborted) return;
        return new Promise<void>((release) => resolve(release));
      });
    });
  }
}

/** A signal that fires with `timeout` after `ms`, or with the outer signal. `clear` ends the wait and must be called. */
export function deadline(ms: number, outer: AbortSignal | undefined, what: string): { readonly signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort(abortedError(outer!));
  if (outer?.aborted) abort();
  outer?.addEventListener('abort', abort, { once: true });
  const timer = alarm(ms, () => {
    controller.abort(new RlpaError('timeout', `"${what}" did not answer within ${ms} ms.`, { timeoutMs: ms }));
  });
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      outer?.removeEventListener('abort', abort);
    },
  };
}

/** The work's outcome, or the abort if that comes first: what does not stop by itself is at least not waited for. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(abortedError(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
