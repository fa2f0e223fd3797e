import { invalidOption } from './errors';

/**
 * Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 * The n-th number of a stream is a pure function of (key, n), so every consumer can own a stream of its own, any device computes
 * the same numbers, and a checkpoint is two integers.
 */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** High 32 bits of an unsigned 32x32 product, by 16-bit halves: doubles hold 53 bits only. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/** @throws `invalid-option` for a seed that is no whole number */
export function checkSeed(seed: number): void {
  if (!Number.isSafeInteger(seed)) throw invalidOption('Random', 'seed', 'a whole number', seed);
}

export interface RandomState {
  readonly key: readonly [number, number];
  readonly position: number;
}

/**
 * A seeded stream of random numbers. Streams are split by name, so that adding a consumer never shifts another's numbers.
 *
 * @throws `invalid-option` for a seed that is no whole number, or none.
 * @example
 * import { Random } from 'rlpa';
 * const dice = new Random(7).split('dialogue', 3);
 * dice.integer(6) + 1;
 */
export class Random {
  #key: readonly [number, number];
  #position = 0;
  #block: readonly number[] = [];

  constructor(seed: number | RandomState) {
    if (typeof seed !== 'object' || seed === null) {
      checkSeed(seed);
      this.#key = [seed >>> 0, Math.floor(seed / 0x1_0000_0000) >>> 0];
    } else {
      this.#key = seed.key;
      this.#position = seed.position;
    }
  }

  /** A new stream that depends on this stream's key and on `path`, not on how much of this stream was used. */
  split(...path: (string | number)[]): Random {
    let key = this.#key;
    for (const part of path) {
      const text = `${typeof part}:${part}`;
      let hash = 0x811c9dc5; // FNV-1a, then mixed by Philox
      for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
      const block = philox([hash, text.length, 0x73706c69, 0x74], key);
      key = [block[0], block[1]];
    }
    return new Random({ key, position: 0 });
  }

  /** The next unsigned 32-bit integer. */
  uint32(): number {
    const lane = this.#position % 4;
    if (lane === 0 || this.#block.length === 0) {
      const block = Math.floor(this.#position / 4);
      this.#block = philox([block >>> 0, Math.floor(block / 0x1_0000_0000) >>> 0, 0, 0], this.#key);
    }
    this.#position++;
    return this.#block[lane]!;
  }

  /** Uniform in [0, 1) with 32 bits. */
  uniform(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** Uniform integer in [0, bound). */
  integer(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(values.length)]!;
  }

  /** A shuffled copy (Fisher–Yates). */
  shuffle<T>(values: readonly T[]): T[] {
    const out = [...values];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }

  /** `count` different values in random order. */
  sample<T>(values: readonly T[], count: number): T[] {
    return this.shuffle(values).slice(0, count);
  }

  /** Standard normal, by Box–Muller. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  get state(): RandomState {
    return { key: this.#key, position: this.#position };
  }
}
