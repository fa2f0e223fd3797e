import { pause } from '../deadline';
import { RlpaError, throwIfAborted } from '../errors';
import { Random } from '../random';
import type { ChatRequest } from './chat-model';
import { waitAskedFor } from './openai-errors';
import { requestedWait } from './openai-retries';
import { serverWords } from './server-words';

/** First wait, longest wait, in milliseconds. */
const waits = { first: 500, longest: 8_000 } as const;

/** What the SDK's `APICallError` has; read by shape, in whichever version and copy of the SDK it was made. */
interface ApiCallError extends Error {
  readonly statusCode?: number;
  readonly isRetryable?: boolean;
  readonly responseHeaders?: Record<string, string>;
  readonly url?: string;
}

/** What goes wrong with a model of the AI SDK: which calls are repeated, and what becomes of the others' errors. */
export class AiSdkFailures {
  readonly #model: string;
  readonly #maxRetries: number;
  readonly #onAttempt: (attempt: number) => void;
  readonly #jitter = new Random(globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!);

  constructor(model: string, maxRetries: number, onAttempt: (attempt: number) => void) {
    this.#model = model;
    this.#maxRetries = maxRetries;
    this.#onAttempt = onAttempt;
  }

  /**
   * Makes a call, and makes it again after errors that say so. The wait is what the server asks for, else exponential with jitter; where
   * it would last past the deadline, the error is reported at once.
   */
  async repeat<T>(request: ChatRequest, call: () => PromiseLike<T>): Promise<T> {
    const { signal, timeoutMs = Number.POSITIVE_INFINITY } = request;
    const end = performance.now() + timeoutMs;
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(signal);
      this.#onAttempt(attempt);
      try {
        return await call();
      } catch (error) {
        throwIfAborted(signal);
        const wait = this.#waitAfter(error, attempt);
        if (attempt >= this.#maxRetries || !isRetryable(error) || wait >= end - performance.now()) throw this.read(error, request);
        await pause(wait, signal);
      }
    }
  }

  /**
   * Maps an error to the codes of `ChatModel`. The cause is not carried along: it holds what was sent. The key is inside the SDK's model, so
   * that of a key only the looks are known.
   */
  read(error: unknown, { messages }: ChatRequest): RlpaError {
    if (RlpaError.isInstance(error)) return error;
    const { statusCode, url, message, responseHeaders } = (error ?? {}) as Partial<ApiCallError>;
    const sent = messages.map(({ content }) => content);
    const reason = serverWords(message || String(error), { model: this.#model, secrets: [], sent });
    const origin = url !== undefined && URL.canParse(url) ? new URL(url).origin : undefined;
    const details = {
      model: this.#model,
      ...(origin && { origin }),
      ...(statusCode !== undefined && { status: statusCode }),
      ...waitAskedFor(new Headers(responseHeaders)),
    };
    const say = (text: string) => `Model "${this.#model}"${origin ? ` at ${origin}` : ''}: ${text}`;
    if (statusCode === 429) return new RlpaError('model-rate-limited', say(`the rate limit was hit: ${reason}`), details);
    if (statusCode === undefined && isRetryable(error)) {
      return new RlpaError('model-unreachable', say(`cannot be reached: ${reason}`), details);
    }
    return new RlpaError('model-failed', say(`the call failed: ${reason}`), details);
  }

  /** The answer came and is not what the interface says. */
  unusable(problem: string): RlpaError {
    return new RlpaError('model-failed', `Model "${this.#model}": ${problem}`, { model: this.#model });
  }

  #waitAfter(error: unknown, attempt: number): number {
    const asked = requestedWait(new Headers((error as Partial<ApiCallError>)?.responseHeaders));
    if (asked > 0) return asked;
    return Math.min(waits.first * 2 ** attempt, waits.longest) * (0.75 + 0.25 * this.#jitter.uniform());
  }
}

function isRetryable(error: unknown): boolean {
  return (error as Partial<ApiCallError> | undefined)?.isRetryable === true;
}
