/** What {@link Vocabulary.find} gives for a text that is no token. */
export const noToken = -1;

/**
 * A vocabulary packed into one string and arrays of integers: a collection of garbage has nothing to look at in it. As a Map of 152 thousand
 * texts, with as many merges, it would stop its thread for 30 to 90 ms at every full collection.
 */
export class Vocabulary {
  /** One more than the largest id. */
  readonly size: number;
  /** All tokens, one after another, in the order in which they were given. */
  readonly #texts: string;
  /** Where each begins, and the end of the last. */
  readonly #starts: Uint32Array;
  readonly #ids: Int32Array;
  /** Of each id: the place of its token, counted from one. */
  readonly #places: Int32Array;
  /** Open addressing with linear probing: places, counted from one. */
  readonly #table: Int32Array;

  /** @param ids by token; at least 0 each. Of two tokens with the same id, the last one is its text. */
  constructor(ids: Readonly<Record<string, number>>) {
    const tokens = Object.keys(ids);
    this.#texts = tokens.join('');
    this.#starts = new Uint32Array(tokens.length + 1);
    this.#ids = Int32Array.from(tokens, (token) => ids[token]!);
    this.size = this.#ids.reduce((largest, id) => Math.max(largest, id), -1) + 1;
    this.#places = new Int32Array(this.size);
    this.#table = new Int32Array(tableSize(tokens.length));
    for (const [place, token] of tokens.entries()) {
      this.#starts[place + 1] = this.#starts[place]! + token.length;
      this.#places[this.#ids[place]!] = place + 1;
      this.#table[this.#slotOf(token, 0, token.length)] = place + 1;
    }
  }

  /** The id of the token that is `text` from `start` to `end`; {@link noToken} where there is none. */
  find(text: string, start = 0, end = text.length): number {
    const entry = this.#table[this.#slotOf(text, start, end)]!;
    return entry === 0 ? noToken : this.#ids[entry - 1]!;
  }

  textOf(id: number): string | undefined {
    const entry = this.#places[id];
    return entry ? this.#textAt(entry - 1) : undefined;
  }

  /** The ids by token, as they were given. */
  toRecord(): Record<string, number> {
    return Object.fromEntries(Array.from(this.#ids, (id, place) => [this.#textAt(place), id]));
  }

  #textAt(place: number): string {
    return this.#texts.slice(this.#starts[place], this.#starts[place + 1]);
  }

  /** Where the table has this text, or has room for it. */
  #slotOf(text: string, start: number, end: number): number {
    const table = this.#table;
    const mask = table.length - 1;
    let slot = hashOf(text, start, end) & mask;
    while (table[slot] !== 0 && !this.#isAt(table[slot]! - 1, text, start, end)) slot = (slot + 1) & mask;
    return slot;
  }

  #isAt(place: number, text: string, start: number, end: number): boolean {
    const from = this.#starts[place]!;
    if (this.#starts[place + 1]! - from !== end - start) return false;
    for (let i = start; i < end; i++) if (text.charCodeAt(i) !== this.#texts.charCodeAt(from + i - start)) return false;
    return true;
  }
}

/** Slots of a table with open addressing for so many entries: a power of two, and at least half of them empty. */
export function tableSize(entries: number): number {
  return 2 ** Math.ceil(Math.log2(2 * entries + 1));
}

/** FNV-1a, by Fowler, Noll and Vo, over UTF-16 units. */
function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
