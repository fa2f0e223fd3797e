import { contrib, type Kernel, type Lowering, masked, matmul } from './kernel';
import type { Name, OnnxModel } from './onnx';

/** [B·T, heads·size] → [B, heads, T, size]. */
function splitHeads(model: OnnxModel, name: Name, batch: number, length: number, heads: number, size: number): Name {
  if (length === 1) return model.reshape(name, batch, heads, 1, size);
  return model.node('Transpose', [model.reshape(name, batch, length, heads, size)], { perm: { ints: [0, 2, 1, 3] } });
}

/** [B, heads, T, size] → [B·T, heads·size]. */
function joinHeads(model: OnnxModel, name: Name, batch: number, length: number, heads: number, size: number): Name {
  const order =
    length === 1 ? name : model.node('Transpose', [model.reshape(name, batch, heads, length, size)], { perm: { ints: [0, 2, 1, 3] } });
  return model.reshape(order, batch * length, heads * size);
}

interface AttentionSizes {
  batch: number;
  length: number;
  heads: number;
  kvHeads: number;
  headSize: number;
}

/** Queries that attend at a time: the scores of a block stay in the processor's cache, and keys after the block are never touched. */
const queryBlock = 128;

/** One block of queries with the keys that it can see. */
interface QueryBlock {
  readonly start: number;
  readonly end: number;
  /** [B, kvHeads, group · (end − start), size]. */
  readonly queries: Name;
  /** [B, kvHeads, end, size]. */
  readonly keys: Name;
  readonly values: Name;
  /** [B, kvHeads, group · (end − start), end]. */
  readonly probabilities: Name;
}

/** Rows start…end of axis 2 of a [B, heads, T, size] tensor. */
function sliceTime(model: OnnxModel, name: Name, start: number, end: number, length: number): Name {
  if (start === 0 && end === length) return name;
  return model.node('Slice', [name, model.integers(start), model.integers(end), model.integers(2)]);
}

/** Additive causal mask of a block [rows, end], or by segments [B, 1, 1, rows, end]. Grouped queries see it through a broadcast axis. */
function attentionMask(
  { model, shared }: Lowering,
  segments: Name | undefined,
  { batch, length }: AttentionSizes,
  start: number,
  end: number,
): Name {
  const rows = end - start;
  const causal = () => {
    const data = new Float32Array(rows * end);
    for (let i = 0; i < rows; i++) data.fill(masked, i * end + start + i + 1, (i + 1) * end);
    return model.constant('f32', [rows, end], data);
  };
  const key = `${start} ${end}`;
  if (!segments) return shared(`causal ${key}`, causal);
  return shared(`segments ${segments} ${key}`, () => {
    const part = (from: number) =>
      model.node('Slice', [model.reshape(segments, batch, length), model.integers(from), model.integers(end), model.integers(1)]);
    const equal = model.node('Equal', [model.reshape(part(start), batch, 1, 1, rows, 1), model.reshape(part(0), batch, 1, 1, 1, end)]);
    const other = model.node('Where', [equal, model.float(0), model.float(masked)]);
    return model.node('Add', [other, shared(`causal ${key}`, causal)]);
  });
}

/** The probabilities of attention, block by block; the gradient computes them again rather than keep [T, T] of every layer. */
function attentionBlocks(lowering: Lowering, queries: Name, keys: Name, values: Name, segments: Name | undefined): QueryBlock[] {
  const { model, node } = lowering;
  const sizes = node.attributes as unknown as AttentionSizes;
  const { batch, length, heads, kvHeads, headSize } = sizes;
  const group = heads / kvHeads;
  const q = splitHeads(model, queries, batch, length, heads, headSize);
  const k = splitHeads(model, keys, batch, length, kvHeads, headSize);
  const v = splitHeads(model, values, batch, length, kvHeads, headSize);
  const blocks: QueryBlock[] = [];
  for (let start = 0; start < length; start += queryBlock) {
    const end = Math.min(length, start + queryBlock);
    const rows = end - start;
    const block = model.reshape(sliceTime(model, q, start, end, length), batch, kvHeads, group * rows, headSize);
    const seen = sliceTime(model, k, 0, end, length);
    const scores = matmul(model, block, seen, { transposeB: true, alpha: 1 / Math.sqrt(headSize) });
    const visible = model.node('Add', [
      model.reshape(scores, batch, kvHeads, group, rows, end),
      attentionMask(lowering, segments, sizes, start, end),
    ]);
    const probabilities = model.reshape(model.node('Softmax', [visible], { axis: { int: -1 } }), batch, kvHeads, group * rows, end);
    blocks.push({ start, end, queries: block, keys: seen, values: sliceTime(model, v, 0, end, length), probabilities });
  }
  return blocks;
}

function joinTime(model: OnnxModel, parts: readonly Name[]): Name {
  return parts.length === 1 ? parts[0]! : model.node('Concat', parts, { axis: { int: 2 } });
}

export const attention: Kernel = (lowering) => {
  const { model, node, inputs } = lowering;
  const { batch, length, heads, headSize } = node.attributes as unknown as AttentionSizes;
  const parts = attentionBlocks(lowering, inputs[0]!, inputs[1]!, inputs[2]!, inputs[3]).map(({ start, end, probabilities, values }) =>
    model.reshape(matmul(model, probabilities, values), batch, heads, end - start, headSize),
  );
  return [joinHeads(model, joinTime(model, parts), batch, length, heads, headSize), ''];
};

export const attentionGradient: Kernel = (lowering) => {
  const { model, node, inputs, used } = lowering;
  const { batch, length, heads, kvHeads, headSize } = node.attributes as unknown as AttentionSizes;
  const [gradient, queries, keys, values] = inputs as [Name, Name, Name, Name];
  const segments = inputs[6];
  const group = heads / kvHeads;
  const alpha = 1 / Math.sqrt(headSize);
  const g = splitHeads(model, gradient, batch, length, heads, headSize);
  const toQueries: Name[] = [];
  const toKeys: Name[] = [];
  const toValues: Name[] = [];
  for (const block of attentionBlocks(lowering, queries, keys, values, segments)) {
    const { start, end, probabilities } = block;
    const rows = end - start;
    const incoming = model.reshape(sliceTime(model, g, start, end, length), batch, kvHeads, group * rows, headSize);
    // a block reaches keys 0…end: its share is padded with zeros to be added to the others'
    const wholeLength = (name: Name) =>
      end === length ? name : model.node('Pad', [name, model.integers(0, 0, 0, 0, 0, 0, length - end, 0)]);
    if (used[2]) toValues.push(wholeLength(matmul(model, probabilities, incoming, { transposeA: true })));
    if (!used[0] && !used[1]) continue;
    const toProbabilities = matmul(model, incoming, block.values, { transposeB: true });
    // rowsum(dP·P) equals rowsum(g·y), which is cheaper but does not cancel as exactly: the bias of the keys lives on that cancellation
    const weighted = model.node('Mul', [probabilities, toProbabilities]);
    const rowSums = model.node('ReduceSum', [weighted, model.integers(3)], { keepdims: { int: 1 } });
    const toScores = model.node('Sub', [weighted, model.node('Mul', [probabilities, rowSums])]);
    if (used[0]) toQueries.push(model.reshape(matmul(model, toScores, block.keys, { alpha }), batch, heads, rows, headSize));
    if (used[1]) toKeys.push(wholeLength(matmul(model, toScores, block.queries, { transposeA: true, alpha })));
  }
  const total = (parts: readonly Name[]) => (parts.length === 1 ? parts[0]! : model.node('Sum', parts));
  return [
    used[0] ? joinHeads(model, joinTime(model, toQueries), batch, length, heads, headSize) : '',
    used[1] ? joinHeads(model, total(toKeys), batch, length, kvHeads, headSize) : '',
    used[2] ? joinHeads(model, total(toValues), batch, length, kvHeads, headSize) : '',
  ];
};

export const cachedAttention: Kernel = ({ model, node, inputs, shared }) => {
  const { batch, length, heads, kvHeads, headSize } = node.attributes as unknown as AttentionSizes;
  const [capacity, filled] = [node.attributes.capacity as number, node.attributes.filled as number];
  const [queries, keys, values, cachedKeys, cachedValues, lengths, rows] = inputs as [Name, Name, Name, Name, Name, Name, Name | undefined];
  const group = heads / kvHeads;
  const q = model.reshape(splitHeads(model, queries, batch, length, heads, headSize), batch, kvHeads, group * length, headSize);
  const entries = (cache: Name, fresh: Name): [Name, Name] => {
    const held = rows === undefined ? cache : model.node('Gather', [cache, rows], { axis: { int: 0 } });
    return [sliceTime(model, held, 0, filled, capacity), splitHeads(model, fresh, batch, length, kvHeads, headSize)];
  };
  // [B, 1, 1, T, filled + T]: which cache entries are filled; new tokens see each other causally
  const mask = shared(`cache ${lengths} ${length} ${filled}`, () => {
    const slots = model.constant(
      'i32',
      [1, filled],
      Int32Array.from({ length: filled }, (_, i) => i),
    );
    const isFilled = model.node('Less', [slots, model.reshape(lengths, batch, 1)]);
    const old = model.reshape(model.node('Where', [isFilled, model.float(0), model.float(masked)]), batch, 1, 1, 1, filled);
    const causal = model.constant(
      'f32',
      [1, 1, 1, length, length],
      Float32Array.from({ length: length * length }, (_, i) => (i % length <= Math.floor(i / length) ? 0 : masked)),
    );
    return model.node(
      'Concat',
      [
        model.node('Expand', [old, model.integers(batch, 1, 1, length, filled)]),
        model.node('Expand', [causal, model.integers(batch, 1, 1, length, length)]),
      ],
      { axis: { int: -1 } },
    );
  });
  const scoresOf = (seen: Name) => matmul(model, q, seen, { transposeB: true, alpha: 1 / Math.sqrt(headSize) });
  const probabilitiesOf = (scores: Name) => {
    const visible = model.node('Add', [model.reshape(scores, batch, kvHeads, group, length, filled + length), mask]);
    return model.reshape(model.node('Softmax', [visible], { axis: { int: -1 } }), batch, kvHeads, group * length, filled + length);
  };
  let mixed: Name;
  // what the cache holds and what is new has to be joined, which copies: scores where they are few, or else keys and values
  if (group * length < headSize) {
    const scores = model.node('Concat', entries(cachedKeys, keys).map(scoresOf), { axis: { int: -1 } });
    const parts = model.nodes('Split', [probabilitiesOf(scores), model.integers(filled, length)], 2, { axis: { int: -1 } });
    const shares = entries(cachedValues, values).map((seen, index) => matmul(model, parts[index]!, seen));
    mixed = model.node('Add', shares);
  } else {
    const scores = scoresOf(joinTime(model, entries(cachedKeys, keys)));
    mixed = matmul(model, probabilitiesOf(scores), joinTime(model, entries(cachedValues, values)));
  }
  return [joinHeads(model, mixed, batch, length, heads, headSize)];
};

/** Queries and keys as they were before they were turned by their places in the cache. */
export interface Rotation {
  readonly queries: Name;
  readonly keys: Name;
  readonly theta: number;
}

/**
 * {@link cachedAttention} of one token a row, by an operator that reads no more of a row's cache than is filled, turns queries and keys itself,
 * and writes the new keys and values into the cache where its output is given the memory of its input.
 */
export function decodingAttention(
  { model, node, inputs, shared }: Lowering,
  rotation?: Rotation,
): { readonly output: Name; readonly caches: readonly [Name, Name] } {
  const { batch, heads, kvHeads, headSize } = node.attributes as unknown as AttentionSizes;
  const capacity = node.attributes.capacity as number;
  const [queries, keys, values, cachedKeys, cachedValues, lengths] = inputs as [Name, Name, Name, Name, Name, Name];
  const token = (name: Name, width: number) => model.reshape(name, batch, 1, width);
  const turns = rotation
    ? [
        ...shared(`rotation by ${rotation.theta} up to ${capacity}`, () => rotationTables(model, capacity, headSize, rotation.theta)),
        shared(`places ${lengths}`, () => model.reshape(model.node('Cast', [lengths], { to: { int: 7 } }), batch, 1)),
      ]
    : [];
  const [mixed, newKeys, newValues] = model.nodes(
    'GroupQueryAttention',
    [
      token(rotation?.queries ?? queries, heads * headSize),
      token(rotation?.keys ?? keys, kvHeads * headSize),
      token(values, kvHeads * headSize),
      cachedKeys,
      cachedValues,
      lengths,
      // the length of the longest row, or more; 1 would say that all are empty
      model.constant('i32', [], [capacity]),
      ...turns,
    ],
    3,
    { num_heads: { int: heads }, kv_num_heads: { int: kvHeads }, do_rotary: { int: Number(rotation !== undefined) } },
    contrib,
  ) as [Name, Name, Name];
  return { output: model.reshape(mixed, batch, heads * headSize), caches: [newKeys, newValues] };
}

/** Cosines and sines of every position's angles, each [capacity, size / 2]. */
function rotationTables(model: OnnxModel, capacity: number, size: number, theta: number): [Name, Name] {
  const half = size / 2;
  const table = (of: (angle: number) => number) => {
    // in float32, as angles are computed elsewhere
    const entry = (i: number) => of(Math.fround(Math.floor(i / half) * Math.fround(theta ** ((-2 * (i % half)) / size))));
    return model.constant(
      'f32',
      [capacity, half],
      Float32Array.from({ length: capacity * half }, (_, i) => entry(i)),
    );
  };
  return [table(Math.cos), table(Math.sin)];
}
