import type { TrainingSequence } from './trainable-policy';

/**
 * How sequences share the rows of a batch. `right` and `left` pad each row to the batch's length; `packed` puts several sequences in a row.
 * All give the same numbers; `right` needs no mask, `packed` wastes least when lengths differ.
 */
export type BatchLayout = 'right' | 'left' | 'packed';

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
  /** Segment of each token, −1 for padding; absent for the `right` layout, whose padding no earlier token can see. */
  readonly segments?: Int32Array;
  /** For each action token, the position whose hidden state predicts it; padded with 0 to `actions`. */
  readonly predictors: Int32Array;
  readonly targets: Int32Array;
  /** Number of action tokens before the padding. */
  readonly count: number;
}

const lengthStep = 64;
const actionStep = 256;

/** Rounds up so that few different shapes are compiled: to multiples of the step, coarser as the size grows. */
export function bucket(size: number, step: number): number {
  let grain = step;
  while (size > 8 * grain) grain *= 2;
  return Math.max(grain, Math.ceil(size / grain) * grain);
}

/** Sorts sequences by length and groups them so that a batch holds at most `maxTokens` tokens, padding included, and at least one sequence. */
export function planBatches(sequences: readonly TrainingSequence[], layout: BatchLayout, maxTokens: number): Batch[] {
  const order = sequences.map((_, index) => index).sort((a, b) => sequences[b]!.tokens.length - sequences[a]!.tokens.length || a - b);
  const batches: Batch[] = [];
  for (let next = 0; next < order.length; ) {
    const length = bucket(sequences[order[next]!]!.tokens.length, lengthStep);
    const capacity = Math.max(1, Math.floor(maxTokens / length));
    const placements: Placement[] = [];
    const filled: number[] = [];
    for (; next < order.length; next++) {
      const sequence = order[next]!;
      const size = sequences[sequence]!.tokens.length;
      let row = layout === 'packed' ? filled.findIndex((used) => used + size <= length) : -1;
      if (row < 0) {
        if (filled.length === capacity) break;
        row = filled.push(0) - 1;
      }
      placements.push({ sequence, row, offset: layout === 'left' ? length - size : filled[row]! });
      filled[row]! += size;
    }
    // the last batch of an update has rows to spare: as few as its shape needs
    batches.push(layOut(sequences, placements, filled.length, length, layout));
  }
  return batches;
}

function layOut(sequences: readonly TrainingSequence[], placements: Placement[], rows: number, length: number, layout: BatchLayout): Batch {
  const tokens = new Int32Array(rows * length);
  const positions = new Int32Array(rows * length);
  const segments = layout === 'right' ? undefined : new Int32Array(rows * length).fill(-1);
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
  const size = bucket(Math.max(1, count), actionStep);
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
