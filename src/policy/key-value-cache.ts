import type { DeviceBuffer, DeviceLane } from '../device/index';
import type { ModelConfig } from '../transformer/index';
import { rowBucket, sizeBucket } from './program-sizes';
import { cacheBuffer, lastTokensBuffer } from './programs';

const capacityStep = 64;

/** Most bytes of all rows together that are spent on what dialogues may come back to, and rows that there are for it at least if these allow. */
const [keptBytes, keptRows] = [2 ** 28, 8];

/** A row of the cache, for whichever dialogue owns it. */
export interface Row {
  /** Where it is. */
  index: number;
  readonly owner: string | undefined;
  /** The tokens whose keys and values it is known to hold. */
  readonly tokens: number[];
  /** How many entries it will have once all runs that were begun are over. What is behind the known tokens may be of no use. */
  length: number;
  /** How many of them were its last prompt's: a prompt that begins with these goes on with the same dialogue. */
  readonly prompt: number;
  /** Of rows that nobody owns and that hold anything: the higher, the later they were retired. */
  readonly retired: number;
}

function newRow(index: number, given: Partial<Omit<Row, 'index' | 'length'>> = {}): Row {
  const { owner, tokens = [], prompt = 0, retired = 0 } = given;
  return { index, owner, tokens, length: tokens.length, prompt, retired };
}

/** Leaves in the row what it holds of the prompt, but for the last token, which is always fed. → how many tokens these are */
export function keepPrefix(row: Row, prompt: Int32Array): number {
  shorten(row, Math.min(commonPrefix(row.tokens, prompt), prompt.length - 1));
  return row.length;
}

function shorten(row: Row, length: number): void {
  row.tokens.length = length;
  row.length = length;
}

/**
 * Keys and values of the dialogues that are being sampled, one row each: [rows, kvHeads, capacity, headSize] a layer and part. Rows stay
 * with their dialogue from turn to turn, so that only what is new has to be computed. Grows in steps, so that few shapes are compiled.
 */
export class KeyValueCache {
  readonly buffers = new Map<string, DeviceBuffer>();
  rows: Row[] = [];
  capacity = 0;
  #retired = 0;

  constructor(
    readonly device: DeviceLane,
    readonly config: ModelConfig,
  ) {}

  /**
   * Gives each demand a row with room for its number of tokens, several to an owner who asks more than once; → row of each. A newcomer gets the
   * retired row of its dialogue, or else one that holds nothing, or what nobody has needed for longest. What that holds of its prompt stays if it
   * is half of it at least: to read beside what is held costs more than to read alone.
   */
  async reserve(demands: readonly { readonly owner: string; readonly tokens: number; readonly prompt?: Int32Array }[]): Promise<Row[]> {
    const owned = new Map<string, Row[]>();
    for (const row of this.rows) if (row.owner !== undefined) owned.set(row.owner, [...(owned.get(row.owner) ?? []), row]);
    const given = demands.map(({ owner }) => owned.get(owner)?.shift());
    const known = this.#dialoguesOf(demands.map(({ prompt }, place) => (given[place] ? undefined : prompt)));
    const isFree = (row: Row) => row.owner === undefined && !known.includes(row);
    const newcomers = demands.filter((_, place) => !given[place] && !known[place]).length;
    const capacity = Math.max(this.capacity, this.#capacityFor(Math.max(...demands.map(({ tokens }) => tokens))));
    const rows = this.#rowsFor(newcomers, this.rows.filter(isFree), capacity);
    if (rows > this.rows.length || capacity > this.capacity) await this.#resize(rows, capacity);
    const others = this.rows.filter(isFree).sort((a, b) => a.retired - b.retired);
    return demands.map(({ owner, prompt }, place) => {
      if (given[place]) return given[place];
      const { index, tokens } = known[place] ?? others.shift()!;
      const isOfUse = prompt !== undefined && commonPrefix(tokens, prompt) >= prompt.length / 2;
      const row = newRow(index, { owner, prompt: prompt?.length, ...(isOfUse && { tokens }) });
      this.rows[index] = row;
      return row;
    });
  }

  /** Whether a retired row has the beginning of this prompt, which goes on with the same dialogue. */
  holds(prompt: Int32Array): boolean {
    return this.#dialoguesOf([prompt])[0] !== undefined;
  }

  /** For each prompt the retired row whose own prompt it begins with: where there are several, the one that holds most of it. */
  #dialoguesOf(prompts: readonly (Int32Array | undefined)[]): (Row | undefined)[] {
    const pairs = prompts.flatMap((prompt, place) =>
      this.rows.flatMap((row) => {
        if (!prompt || row.owner !== undefined || row.prompt === 0) return [];
        const held = commonPrefix(row.tokens, prompt);
        return held >= Math.min(row.prompt, prompt.length) ? [{ place, row, held }] : [];
      }),
    );
    const found = prompts.map((): Row | undefined => undefined);
    for (const { place, row } of pairs.sort((a, b) => b.held - a.held)) if (!found[place] && !found.includes(row)) found[place] = row;
    return found;
  }

  /**
   * Brings rows to the front, among as few as programs are compiled for: they compute the first rows only. Others take their places. → how many
   * these are.
   */
  gather(wanted: readonly Row[]): number {
    const front = rowBucket(wanted.length);
    const inTheWay = this.rows.slice(0, front).filter((row) => !wanted.includes(row));
    for (const row of wanted) if (row.index >= front) this.#swap(row, inTheWay.pop()!);
    return Math.min(front, this.rows.length);
  }

  #swap(one: Row, other: Row): void {
    this.device.swapRows(this.buffers.values(), one.index, other.index);
    [one.index, other.index] = [other.index, one.index];
    for (const row of [one, other]) this.rows[row.index] = row;
  }

  /** Gives memory back if a quarter of the room for each row would do for the given number of tokens, and for what the rows hold, which stays. */
  async shrink(tokens: number): Promise<void> {
    // one entry of each is free, for what is computed for rows that nobody asks for
    const capacity = this.#capacityFor(Math.max(tokens, ...this.rows.map(({ length }) => length + 1)));
    if (4 * capacity <= this.capacity) await this.#resize(this.rows.length, capacity);
  }

  #capacityFor(tokens: number): number {
    return Math.min(sizeBucket(tokens, capacityStep), this.config.maxPositions);
  }

  /** The dialogues are over: their rows may be given to others. An idle cache gives its memory back. */
  release(owners: Iterable<string>): void {
    this.#disown(owners, (row) => newRow(row.index));
    if (this.rows.every(({ owner }) => owner === undefined)) this.clear();
  }

  /** Their rows may be given to others, but keep what they hold until then: a dialogue may come back with a longer prompt. */
  retire(owners: Iterable<string>): void {
    this.#disown(owners, ({ index, tokens, prompt }) =>
      tokens.length === 0 ? newRow(index) : newRow(index, { tokens: [...tokens], prompt, retired: ++this.#retired }),
    );
  }

  #disown(owners: Iterable<string>, replace: (row: Row) => Row): void {
    const gone = new Set(owners);
    // rows of their own: runs that are under way still know the old ones
    this.rows = this.rows.map((row) => (row.owner !== undefined && gone.has(row.owner) ? replace(row) : row));
  }

  /** So that newcomers need not take what others may come back to, all rows that may be kept are made at once: each number of them is compiled. */
  #rowsFor(newcomers: number, free: readonly Row[], capacity: number): number {
    const { length } = this.rows;
    const isShort = newcomers > free.filter(({ tokens }) => tokens.length === 0).length;
    const needed = newcomers > free.length ? rowBucket(length + newcomers - free.length) : length;
    return isShort && free.length > 0 ? Math.max(needed, this.#affordable(keptRows, capacity)) : needed;
  }

  /** Nobody is left: gives back what is more than may be kept. The rows that were retired last stay, and one in any case. */
  async giveBack(): Promise<void> {
    const rows = this.#affordable(this.rows.length, this.capacity);
    if (rows === this.rows.length) return;
    this.gather([...this.rows].sort((a, b) => b.retired - a.retired).slice(0, rows));
    await this.#resize(rows, this.capacity);
  }

  /** So many rows, or as many halves of them as fit what may be kept. */
  #affordable(rows: number, capacity: number): number {
    const { layers, kvHeads, headSize } = this.config;
    const bytes = 4 * 2 * layers * rows * kvHeads * capacity * headSize;
    return rows <= 1 || bytes <= keptBytes ? rows : this.#affordable(rowBucket(rows / 2), capacity);
  }

  /** Nobody is left, or the device failed: nothing that was computed is of use any more. */
  clear(): void {
    this.device.release(this.buffers.values());
    this.buffers.clear();
    this.rows = [];
    this.capacity = 0;
  }

  /** The weights changed: forgets what was computed, keeping rows and memory. */
  invalidate(): void {
    this.rows = this.rows.map((row) => (row.owner === undefined ? newRow(row.index) : row));
    for (const row of this.rows) shorten(row, 0);
  }

  /** Drops what runs have written, or will write, behind the known tokens. */
  trim(): void {
    for (const row of this.rows) row.length = row.tokens.length;
  }

  async #resize(rows: number, capacity: number): Promise<void> {
    const { kvHeads, headSize, layers } = this.config;
    const filled = this.rows.some(({ length }) => length > 0);
    const stay = Math.min(rows, this.rows.length);
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['keys', 'values'] as const) {
        const name = cacheBuffer(layer, part);
        const old = this.buffers.get(name);
        let data: Float32Array | undefined;
        if (old && filled) {
          data = new Float32Array(rows * kvHeads * capacity * headSize);
          const before = (await this.device.read(old)) as Float32Array;
          const stride = this.capacity * headSize;
          const kept = Math.min(this.capacity, capacity) * headSize;
          for (let strip = 0; strip < stay * kvHeads; strip++) {
            data.set(before.subarray(strip * stride, strip * stride + kept), strip * capacity * headSize);
          }
        }
        if (old) this.device.release([old]);
        this.buffers.set(name, this.device.create([rows, kvHeads, capacity, headSize], 'f32', data));
      }
    }
    const held = this.buffers.get(lastTokensBuffer);
    const lastTokens = new Int32Array(rows);
    if (held && filled) lastTokens.set((await this.device.read(held)).subarray(0, stay));
    if (held) this.device.release([held]);
    this.buffers.set(lastTokensBuffer, this.device.create([rows], 'i32', lastTokens));
    this.rows.length = stay;
    while (this.rows.length < rows) this.rows.push(newRow(this.rows.length));
    this.capacity = capacity;
  }
}

function commonPrefix(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
