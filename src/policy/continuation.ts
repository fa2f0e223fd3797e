import { RlpaError } from '../errors';
import { Random } from '../random';
import type { Row } from './key-value-cache';

/** One text to be continued. */
export interface SampleRequest {
  /** Whose cache row it is. */
  readonly owner: string;
  readonly prompt: Int32Array;
  readonly seed: number;
}

export interface Sample {
  /** Tokens of the prompt that the cache held already. */
  readonly cached: number;
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
  /** Tokens that are to be fed before others can be sampled. What was sampled is not among them: the device has it. */
  pending: number[];
  /** Tokens that are being sampled, beside those of the completion. */
  underWay = 0;
  finishReason: Sample['finishReason'] | undefined;

  /** @param cached how many tokens of the prompt the row holds; the last one is always fed, for its hidden state gives the next one */
  constructor(
    readonly request: SampleRequest,
    readonly row: Row,
    public cached: number,
    readonly end: SampleEnd,
  ) {
    this.random = new Random(request.seed);
    this.pending = Array.from(request.prompt.subarray(cached));
  }

  /** How many more tokens may be sampled; one at least, which ends the text. */
  get room(): number {
    const { maxNewTokens, maxPositions } = this.end;
    return Math.max(1, Math.min(maxNewTokens, maxPositions - this.request.prompt.length)) - this.completion.length - this.underWay;
  }

  take(token: number, logProb: number, value: number): void {
    const { stopTokens, maxNewTokens, maxPositions } = this.end;
    this.underWay--;
    this.completion.push(token);
    this.#logProbs.push(logProb);
    this.#values.push(value);
    if (stopTokens.has(token)) this.finishReason = 'stop';
    else if (this.completion.length >= maxNewTokens || this.request.prompt.length + this.completion.length >= maxPositions)
      this.finishReason = 'length';
  }

  /** What the row held is gone: all is fed again. */
  restart(): void {
    this.pending = [...this.request.prompt, ...this.completion];
    this.cached = 0;
  }

  get sample(): Sample {
    return {
      cached: this.cached,
      completion: Int32Array.from(this.completion),
      logProbs: Float32Array.from(this.#logProbs),
      values: Float32Array.from(this.#values),
      finishReason: this.finishReason!,
    };
  }
}

/** Entries of a cache that a text may take, one at least beside the prompt's: what is computed for a row that waits stands after what it holds. */
export function roomFor({ length }: Int32Array, maxNewTokens: number, maxPositions: number): number {
  return Math.min(length + Math.max(1, maxNewTokens), maxPositions);
}

/** @throws `model-failed` for a prompt that leaves no room for an answer */
export function checkPrompt({ length }: Int32Array, maxPositions: number): void {
  if (length < maxPositions) return;
  const message = `The prompt has ${length} tokens; the model reads at most ${maxPositions}, one of them its answer's.`;
  throw new RlpaError('model-failed', message, { prompt: length, maxPositions });
}
