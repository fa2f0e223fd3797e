import { sizeBucket } from './program-sizes';
import type { TrainingSequence } from './trainable-policy';

/**
 * How sequences share the rows of a batch. `right` and `left` pad each row to the batch's length; `packed` puts several sequences in a row.
 * All give the same numbers; `right` needs no mask, `packed` wastes least when lengths differ, and needs none where it finds nothing to pack.
 */
export const batchLayouts = ['right', 'left', 'packed'] as const;
export type BatchLayout = (typeof batchLayouts)[number];

/** Where token t of a sequence lies: row · length + offset + t. */
export interface Placement {
  readonly sequence: number;
  readonly row: number;
  readonly offset: number;
}

/** Sequences that run together, laid out for one compiled program. */
export interface Batch {
  readonly rows: number;
  /** Tokens a row. */
  readonly length: number;
  readonly placements: readonly Placement[];
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  /** Segment of each token, −1 for padding; absent where rows hold one sequence each, padded on the right: no earlier token sees that. */
  readonly segments?: Int32Array;
  /** For each action token, the position whose hidden state predicts it; padded with 0 to `actions`. */
  readonly predictors: Int32Array;
  readonly targets: Int32Array;
  /** Number of action tokens before the padding. */
  readonly count: number;
}

const lengthStep = 64;
const actionStep = 256;

/**
 * Sorts sequences by length and groups them so that a batch holds at most `maxTokens` tokens, padding included, and at least one sequence.
 */
export function planBatches(sequences: readonly TrainingSequence[], layout: BatchLayout, maxTokens: number): Batch[] {
  const sizeOf = (sequence: number) => sequences[sequence]!.tokens.length;
  let waiting = sequences.map((_, index) => index).sort((a, b) => sizeOf(b) - sizeOf(a) || a - b);
  const batches: Batch[] = [];
  while (waiting.length > 0) {
    const { rows, length } = layout === 'packed' ? pack(waiting, sizeOf, maxTokens) : oneARow(waiting, sizeOf, maxTokens);
    const placements = rows.flatMap((row, index) => {
      let filled = 0;
      return row.map((sequence): Placement => {
        const offset = layout === 'left' ? length - sizeOf(sequence) : filled;
        filled += sizeOf(sequence);
        return { sequence, row: index, offset };
      });
    });
    const taken = new Set(rows.flat());
    waiting = waiting.filter((sequence) => !taken.has(sequence));
    // rows of one sequence each need no mask: padding on the right is seen by nobody
    const masked = layout === 'left' || rows.some((row) => row.length > 1);
    batches.push(layOut(sequences, placements, rows.length, length, masked));
  }
  return batches;
}

/** The sequences of each row of one batch. */
interface Rows {
  readonly rows: readonly (readonly number[])[];
  readonly length: number;
}

type SizeOf = (sequence: number) => number;

function oneARow(waiting: readonly number[], sizeOf: SizeOf, maxTokens: number): Rows {
  const length = sizeBucket(sizeOf(waiting[0]!), lengthStep);
  return { rows: waiting.slice(0, Math.max(1, Math.floor(maxTokens / length))).map((sequence) => [sequence]), length };
}

/** Longer rows waste less at their ends, but attention costs more: they have to be worth it by this share of the tokens. */
const worthwhile = 0.01;
/** Rows may be this long, or twice as long as the longest sequence, to be filled better. */
const packedLength = 512;

/** Fills the rows of a batch best-fit, longest first, with the row length that leaves the smallest share empty. */
function pack(waiting: readonly number[], sizeOf: SizeOf, maxTokens: number): Rows {
  const shortest = sizeBucket(sizeOf(waiting[0]!), lengthStep);
  const longest = Math.min(Math.max(packedLength, 2 * shortest), Math.max(shortest, maxTokens));
  let best: Rows | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let length = shortest; length <= longest; length = sizeBucket(length + 1, lengthStep)) {
    const capacity = Math.max(1, Math.floor(maxTokens / length));
    const rows: number[][] = [];
    const room: number[] = [];
    for (const sequence of waiting) {
      const size = sizeOf(sequence);
      let row = -1;
      room.forEach((space, index) => {
        if (space >= size && (row < 0 || space < room[row]!)) row = index;
      });
      if (row < 0) {
        if (rows.length === capacity) continue;
        row = rows.push([]) - 1;
        room.push(length);
      }
      rows[row]!.push(sequence);
      room[row]! -= size;
    }
    const empty = room.reduce((sum, space) => sum + space, 0) / (rows.length * length);
    if (empty < least - worthwhile) {
      best = { rows, length };
      least = empty;
    }
  }
  return best!;
}

function layOut(
  sequences: readonly TrainingSequence[],
  placements: readonly Placement[],
  rows: number,
  length: number,
  masked: boolean,
): Batch {
  const tokens = new Int32Array(rows * length);
  const positions = new Int32Array(rows * length);
  const segments = masked ? new Int32Array(rows * length).fill(-1) : undefined;
  const predictors: number[] = [];
  const targets: number[] = [];
  placements.forEach(({ sequence, row, offset }, segment) => {
    const { tokens: ids, actionMask } = sequences[sequence]!;
    const start = row * length + offset;
    for (let t = 0; t < ids.length; t++) {
      tokens[start + t] = ids[t]!;
      positions[start + t] = t;
      if (segments) segments[start + t] = segment;
      if (actionMask[t] && t > 0) {
        predictors.push(start + t - 1);
        targets.push(ids[t]!);
      }
    }
  });
  const count = predictors.length;
  const size = sizeBucket(Math.max(1, count), actionStep);
  return {
    rows,
    length,
    placements,
    tokens,
    positions,
    segments,
    predictors: padded(predictors, size),
    targets: padded(targets, size),
    count,
  };
}

function padded(values: readonly number[], size: number): Int32Array {
  const out = new Int32Array(size);
  out.set(values);
  return out;
}

/** One entry for each action token of the batch, in the order of its `predictors`, read from arrays aligned with the sequences' tokens. */
export function gatherActions<S extends TrainingSequence>(
  batch: Batch,
  sequences: readonly S[],
  read: (sequence: S) => Float32Array,
): Float32Array {
  const out = new Float32Array(batch.predictors.length);
  let next = 0;
  for (const { sequence } of batch.placements) {
    const item = sequences[sequence]!;
    const values = read(item);
    for (let t = 1; t < item.tokens.length; t++) if (item.actionMask[t]) out[next++] = values[t]!;
  }
  return out;
}

/** The inverse of {@link gatherActions}: spreads one value an action token into arrays aligned with each sequence's tokens. */
export function spreadActions(
  batch: Batch,
  sequences: readonly TrainingSequence[],
  values: Float32Array,
  write: (sequence: number, data: Float32Array) => void,
): void {
  let next = 0;
  for (const { sequence } of batch.placements) {
    const { tokens, actionMask } = sequences[sequence]!;
    const data = new Float32Array(tokens.length);
    for (let t = 1; t < tokens.length; t++) if (actionMask[t]) data[t] = values[next++]!;
    write(sequence, data);
  }
}
