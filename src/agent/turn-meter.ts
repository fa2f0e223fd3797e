import { addUsage, type ChatUsage } from '../chat/index';
import { checkKnown, invalidOption } from '../errors';
import type { TurnUsage } from './turn';

/** Prices of a model in any currency, for a million tokens. Input that the model had read before counts like any other. */
export interface TokenPrices {
  readonly input: number;
  readonly output: number;
}

/** @throws `invalid-option` */
export function checkPrices(prices: TokenPrices | undefined): TokenPrices | undefined {
  if (prices === undefined) return undefined;
  checkKnown('prices', prices, { input: true, output: true });
  for (const kind of ['input', 'output'] as const) {
    const price = prices[kind];
    if (!(Number.isFinite(price) && price >= 0))
      throw invalidOption('PersonalizedAgent', `prices.${kind}`, 'a finite number of at least 0', price);
  }
  return prices;
}

/** Counts tokens, money and time of the calls of one turn, from when it is made. */
export class TurnMeter {
  readonly #prices: TokenPrices | undefined;
  readonly #startedAt = performance.now();
  #usage: ChatUsage = { inputTokens: 0, outputTokens: 0 };
  #firstTextMs: number | undefined;

  constructor(prices: TokenPrices | undefined) {
    this.#prices = prices;
  }

  add(usage: ChatUsage): void {
    this.#usage = addUsage(this.#usage, usage);
  }

  /** Text of the reply can be shown. */
  showText(): void {
    this.#firstTextMs ??= this.elapsedMs;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  get firstTextMs(): number | undefined {
    return this.#firstTextMs;
  }

  metrics(): TurnUsage {
    const { inputTokens, outputTokens } = this.#usage;
    const cost = this.#prices && (inputTokens * this.#prices.input + outputTokens * this.#prices.output) / 1e6;
    return { usage: this.#usage, ...(cost !== undefined && { cost }), latencyMs: this.elapsedMs };
  }
}
