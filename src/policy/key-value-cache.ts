import type { Device, DeviceBuffer } from '../device/index';
import type { ModelConfig } from '../transformer/index';
import { bucket } from './batch';
import { cacheBuffer, lastTokensBuffer } from './programs';

const capacityStep = 64;

/** A row of the cache, for whichever dialogue owns it. */
export interface Row {
  /** Where it is. */
  index: number;
  readonly owner: string | undefined;
  /** The tokens whose keys and values it is known to hold. */
  readonly tokens: number[];
  /** How many entries it will have once all runs that were begun are over. What is behind the known tokens may be of no use. */
  length: number;
}

const emptyRow = (index: number, owner?: string): Row => ({ index, owner, tokens: [], length: 0 });

/**
 * Keys and values of the dialogues that are being sampled, one row each: [rows, kvHeads, capacity, headSize] a layer and part. Rows stay
 * with their dialogue from turn to turn, so that only what is new has to be computed. Grows in steps, so that few shapes are compiled.
 */
export class KeyValueCache {
  readonly buffers = new Map<string, DeviceBuffer>();
  rows: Row[] = [];
  capacity = 0;

  constructor(
    readonly device: Device,
    readonly config: ModelConfig,
  ) {}

  /** Gives each demand a row with room for its number of tokens, several to an owner who asks more than once; → row of each. */
  async reserve(demands: readonly { readonly owner: string; readonly tokens: number }[]): Promise<Row[]> {
    const owned = new Map<string, Row[]>();
    for (const row of this.rows) if (row.owner !== undefined) owned.set(row.owner, [...(owned.get(row.owner) ?? []), row]);
    const given = demands.map(({ owner }) => owned.get(owner)?.shift());
    const newcomers = given.filter((row) => row === undefined).length;
    const free = this.rows.filter(({ owner }) => owner === undefined).length;
    const rows = this.rows.length + Math.max(0, newcomers - free);
    const capacity = Math.min(bucket(Math.max(...demands.map(({ tokens }) => tokens)), capacityStep), this.config.maxPositions);
    if (rows > this.rows.length || capacity > this.capacity) await this.#resize(rowBucket(rows), Math.max(capacity, this.capacity));
    return given.map((known, place) => {
      if (known) return known;
      const { index } = this.rows.find(({ owner }) => owner === undefined)!;
      const row = emptyRow(index, demands[place]!.owner);
      this.rows[index] = row;
      return row;
    });
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

  /** Gives memory back if a quarter of the room for each row would do for the given number of tokens; what the rows hold stays. */
  async shrink(tokens: number): Promise<void> {
    const capacity = Math.min(bucket(tokens, capacityStep), this.config.maxPositions);
    if (4 * capacity <= this.capacity) await this.#resize(this.rows.length, capacity);
  }

  /** The dialogues are over: their rows may be given to others. An idle cache gives its memory back. */
  release(owners: Iterable<string>): void {
    const gone = new Set(owners);
    // rows of their own: runs that are under way still know the old ones
    this.rows = this.rows.map((row) => (row.owner !== undefined && gone.has(row.owner) ? emptyRow(row.index) : row));
    if (this.rows.every(({ owner }) => owner === undefined)) this.clear();
  }

  /** The weights changed, or nobody is left: nothing that was computed holds any more. */
  clear(): void {
    this.device.release(this.buffers.values());
    this.buffers.clear();
    this.rows = [];
    this.capacity = 0;
  }

  /** Forgets what was computed, keeping rows and memory. */
  invalidate(): void {
    for (const row of this.rows) {
      row.tokens.length = 0;
      row.length = 0;
    }
  }

  /** Drops what runs have written, or will write, behind the known tokens. */
  trim(): void {
    for (const row of this.rows) row.length = row.tokens.length;
  }

  async #resize(rows: number, capacity: number): Promise<void> {
    const { kvHeads, headSize, layers } = this.config;
    const filled = this.rows.some(({ length }) => length > 0);
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
          for (let strip = 0; strip < this.rows.length * kvHeads; strip++) {
            data.set(before.subarray(strip * stride, strip * stride + kept), strip * capacity * headSize);
          }
        }
        if (old) this.device.release([old]);
        this.buffers.set(name, this.device.create([rows, kvHeads, capacity, headSize], 'f32', data));
      }
    }
    const held = this.buffers.get(lastTokensBuffer);
    const lastTokens = new Int32Array(rows);
    if (held && filled) lastTokens.set(await this.device.read(held));
    if (held) this.device.release([held]);
    this.buffers.set(lastTokensBuffer, this.device.create([rows], 'i32', lastTokens));
    while (this.rows.length < rows) this.rows.push(emptyRow(this.rows.length));
    this.capacity = capacity;
  }
}

/** Row counts that programs are compiled for: powers of two, and halfway between them from 16 on. */
export function rowBucket(rows: number): number {
  let size = 1;
  while (size < rows) size *= 2;
  return size >= 32 && (size * 3) / 4 >= rows ? (size * 3) / 4 : size;
}
