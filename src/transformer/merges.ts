import { tableSize } from './vocabulary';

/** The merge of a pair of tokens into one. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly merged: number;
}

/** What {@link Merges.rank} gives for a pair that is not merged. */
export const noMerge = -1;

/** Merges by rank, found by their pair, packed as {@link Vocabulary} is. */
export class Merges {
  /** Left, right and merged, rank after rank. */
  readonly #ids: Int32Array;
  /** Open addressing with linear probing: ranks, counted from one. */
  readonly #table: Int32Array;

  /** @param merges the first are merged first; of two of the same pair, the last one counts */
  constructor(merges: readonly Merge[]) {
    this.#ids = new Int32Array(3 * merges.length);
    this.#table = new Int32Array(tableSize(merges.length));
    for (const [rank, { left, right, merged }] of merges.entries()) {
      this.#ids[3 * rank] = left;
      this.#ids[3 * rank + 1] = right;
      this.#ids[3 * rank + 2] = merged;
      this.#table[this.#slotOf(left, right)] = rank + 1;
    }
  }

  get count(): number {
    return this.#ids.length / 3;
  }

  at(rank: number): Merge {
    const [left, right, merged] = this.#ids.subarray(3 * rank, 3 * rank + 3) as ArrayLike<number> as [number, number, number];
    return { left, right, merged };
  }

  /** The rank of a pair's merge; {@link noMerge} where there is none. */
  rank(left: number, right: number): number {
    return this.#table[this.#slotOf(left, right)]! - 1;
  }

  merged(rank: number): number {
    return this.#ids[3 * rank + 2]!;
  }

  #slotOf(left: number, right: number): number {
    const [table, ids] = [this.#table, this.#ids];
    const mask = table.length - 1;
    const hash = Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b);
    let slot = (hash ^ (hash >>> 15)) & mask;
    while (table[slot] !== 0) {
      const at = 3 * (table[slot]! - 1);
      if (ids[at] === left && ids[at + 1] === right) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }
}
