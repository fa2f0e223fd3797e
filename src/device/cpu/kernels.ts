import type { Node, OperationName, Tensor } from '../../tensor/index';
import type { Name, OnnxModel } from './onnx';

const contrib = 'com.microsoft';
/** Added to a score that must not count. Finite, so that a row without any visible key gives no NaN. */
const masked = -1e30;
/** Rows of the head that are turned into logits at a time: keeps [rows, V] within a few megabytes. */
const headChunkBytes = 8 << 20;
/** But no fewer than these, however large the vocabulary: each chunk reads the whole head, and a product of few rows waits for memory. */
const fewestHeadRows = 128;

/** What a kernel gets to write its ONNX nodes with. */
export interface Lowering {
  readonly model: OnnxModel;
  readonly node: Node;
  readonly inputs: readonly Name[];
  /** Which outputs somebody reads; the others need not be computed. */
  readonly used: readonly boolean[];
  /** Computes something once for a whole graph, such as a mask that all layers share. */
  readonly shared: (key: string, build: () => Name) => Name;
}

/** Writes the ONNX nodes of one operation and returns the names of its outputs ('' where unused). */
export type Kernel = (lowering: Lowering) => readonly Name[];

const shapeOf = (tensor: Tensor | undefined): readonly number[] => tensor!.shape;

const elementwise =
  (op: string): Kernel =>
  ({ model, inputs }) => [model.node(op, inputs)];

function reshape(model: OnnxModel, name: Name, ...shape: number[]): Name {
  return model.node('Reshape', [name, model.integers(...shape)]);
}

/** [B·T, heads·size] → [B, heads, T, size]. */
function splitHeads(model: OnnxModel, name: Name, batch: number, length: number, heads: number, size: number): Name {
  if (length === 1) return reshape(model, name, batch, heads, 1, size);
  return model.node('Transpose', [reshape(model, name, batch, length, heads, size)], { perm: { ints: [0, 2, 1, 3] } });
}

/** [B, heads, T, size] → [B·T, heads·size]. */
function joinHeads(model: OnnxModel, name: Name, batch: number, length: number, heads: number, size: number): Name {
  const order =
    length === 1 ? name : model.node('Transpose', [reshape(model, name, batch, heads, length, size)], { perm: { ints: [0, 2, 1, 3] } });
  return reshape(model, order, batch * length, heads * size);
}

function matmul(model: OnnxModel, a: Name, b: Name, { transposeA = false, transposeB = false, alpha = 1 } = {}): Name {
  if (!transposeA && !transposeB && alpha === 1) return model.node('MatMul', [a, b]);
  return model.node('FusedMatMul', [a, b], { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) }, alpha }, contrib);
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
      model.node('Slice', [reshape(model, segments, batch, length), model.integers(from), model.integers(end), model.integers(1)]);
    const equal = model.node('Equal', [reshape(model, part(start), batch, 1, 1, rows, 1), reshape(model, part(0), batch, 1, 1, 1, end)]);
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
    const block = reshape(model, sliceTime(model, q, start, end, length), batch, kvHeads, group * rows, headSize);
    const seen = sliceTime(model, k, 0, end, length);
    const scores = matmul(model, block, seen, { transposeB: true, alpha: 1 / Math.sqrt(headSize) });
    const visible = model.node('Add', [
      reshape(model, scores, batch, kvHeads, group, rows, end),
      attentionMask(lowering, segments, sizes, start, end),
    ]);
    const probabilities = reshape(model, model.node('Softmax', [visible], { axis: { int: -1 } }), batch, kvHeads, group * rows, end);
    blocks.push({ start, end, queries: block, keys: seen, values: sliceTime(model, v, 0, end, length), probabilities });
  }
  return blocks;
}

function joinTime(model: OnnxModel, parts: readonly Name[]): Name {
  return parts.length === 1 ? parts[0]! : model.node('Concat', parts, { axis: { int: 2 } });
}

const attention: Kernel = (lowering) => {
  const { model, node, inputs } = lowering;
  const { batch, length, heads, headSize } = node.attributes as unknown as AttentionSizes;
  const parts = attentionBlocks(lowering, inputs[0]!, inputs[1]!, inputs[2]!, inputs[3]).map(({ start, end, probabilities, values }) =>
    reshape(model, matmul(model, probabilities, values), batch, heads, end - start, headSize),
  );
  return [joinHeads(model, joinTime(model, parts), batch, length, heads, headSize), ''];
};

const attentionGradient: Kernel = (lowering) => {
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
    const incoming = reshape(model, sliceTime(model, g, start, end, length), batch, kvHeads, group * rows, headSize);
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
    if (used[0]) toQueries.push(reshape(model, matmul(model, toScores, block.keys, { alpha }), batch, heads, rows, headSize));
    if (used[1]) toKeys.push(wholeLength(matmul(model, toScores, block.queries, { transposeA: true, alpha })));
  }
  const total = (parts: readonly Name[]) => (parts.length === 1 ? parts[0]! : model.node('Sum', parts));
  return [
    used[0] ? joinHeads(model, joinTime(model, toQueries), batch, length, heads, headSize) : '',
    used[1] ? joinHeads(model, total(toKeys), batch, length, kvHeads, headSize) : '',
    used[2] ? joinHeads(model, total(toValues), batch, length, kvHeads, headSize) : '',
  ];
};

const cachedAttention: Kernel = ({ model, node, inputs, shared }) => {
  const { batch, length, heads, kvHeads, headSize } = node.attributes as unknown as AttentionSizes;
  const capacity = node.attributes.capacity as number;
  const [queries, keys, values, cachedKeys, cachedValues, lengths] = inputs as [Name, Name, Name, Name, Name, Name];
  const group = heads / kvHeads;
  const alpha = 1 / Math.sqrt(headSize);
  const q = reshape(model, splitHeads(model, queries, batch, length, heads, headSize), batch, kvHeads, group * length, headSize);
  const k = splitHeads(model, keys, batch, length, kvHeads, headSize);
  const v = splitHeads(model, values, batch, length, kvHeads, headSize);
  // [B, 1, 1, 1, capacity + T]: which cache entries are filled; new tokens see each other causally
  const mask = shared(`cache ${lengths} ${length} ${capacity}`, () => {
    const slots = model.constant(
      'i32',
      [1, capacity],
      Int32Array.from({ length: capacity }, (_, i) => i),
    );
    const filled = model.node('Less', [slots, reshape(model, lengths, batch, 1)]);
    const old = reshape(model, model.node('Where', [filled, model.float(0), model.float(masked)]), batch, 1, 1, 1, capacity);
    const causal = model.constant(
      'f32',
      [1, 1, 1, length, length],
      Float32Array.from({ length: length * length }, (_, i) => (i % length <= Math.floor(i / length) ? 0 : masked)),
    );
    return model.node(
      'Concat',
      [
        model.node('Expand', [old, model.integers(batch, 1, 1, length, capacity)]),
        model.node('Expand', [causal, model.integers(batch, 1, 1, length, length)]),
      ],
      { axis: { int: -1 } },
    );
  });
  const scores = model.node(
    'Concat',
    [matmul(model, q, cachedKeys, { transposeB: true, alpha }), matmul(model, q, k, { transposeB: true, alpha })],
    {
      axis: { int: -1 },
    },
  );
  const visible = model.node('Add', [reshape(model, scores, batch, kvHeads, group, length, capacity + length), mask]);
  const probabilities = reshape(
    model,
    model.node('Softmax', [visible], { axis: { int: -1 } }),
    batch,
    kvHeads,
    group * length,
    capacity + length,
  );
  const [toOld, toNew] = model.nodes('Split', [probabilities, model.integers(capacity, length)], 2, { axis: { int: -1 } });
  const mixed = model.node('Add', [matmul(model, toOld!, cachedValues), matmul(model, toNew!, v)]);
  return [joinHeads(model, mixed, batch, length, heads, headSize)];
};

/** The smallest logit that sampling may choose from, [rows, 1], or nothing when the whole vocabulary is allowed. */
function supportThreshold(model: OnnxModel, logits: Name, node: Node, vocabulary: number): Name | undefined {
  const topK = node.attributes.topK as number;
  const topP = node.attributes.topP as number;
  if (topK === 0 && topP >= 1) return undefined;
  const count = topK > 0 ? Math.min(topK, vocabulary) : vocabulary;
  const [sorted] = model.nodes('TopK', [logits, model.integers(count)], 2, { axis: { int: -1 } });
  if (topP >= 1) return model.node('Slice', [sorted!, model.integers(count - 1), model.integers(count), model.integers(1)]);
  // keep a token while the probability of all likelier ones is below topP
  const likelier = model.node('CumSum', [model.node('Softmax', [sorted!], { axis: { int: -1 } }), model.constant('i64', [], [1])], {
    exclusive: { int: 1 },
  });
  const kept = model.node('Where', [model.node('Less', [likelier, model.float(topP)]), sorted!, model.float(3e38)]);
  return model.node('ReduceMin', [kept, model.integers(-1)], { keepdims: { int: 1 } });
}

function restrict(model: OnnxModel, logits: Name, threshold: Name | undefined): Name {
  return threshold ? model.node('Where', [model.node('GreaterOrEqual', [logits, threshold]), logits, model.float(masked)]) : logits;
}

/** Calls `build` for row ranges of at most the chunk size and joins each of its results along the rows. */
function overRowChunks(rows: number, vocabulary: number, build: (start: number, end: number) => void): void {
  const chunk = Math.max(fewestHeadRows, Math.floor(headChunkBytes / (4 * vocabulary)));
  for (let start = 0; start < rows; start += chunk) build(start, Math.min(rows, start + chunk));
}

function sliceRows(model: OnnxModel, name: Name, start: number, end: number, rows: number): Name {
  if (start === 0 && end === rows) return name;
  return model.node('Slice', [name, model.integers(start), model.integers(end), model.integers(0)]);
}

function joinRows(model: OnnxModel, parts: readonly Name[]): Name {
  return parts.length === 1 ? parts[0]! : model.node('Concat', parts, { axis: { int: 0 } });
}

const headLogProbability: Kernel = ({ model, node, inputs, used }) => {
  const [hidden, weight, targets, temperature] = inputs as [Name, Name, Name, Name];
  const rows = shapeOf(node.inputs[0])[0]!;
  const vocabulary = shapeOf(node.inputs[1])[0]!;
  const parts: [Name[], Name[], Name[], Name[]] = [[], [], [], []];
  overRowChunks(rows, vocabulary, (start, end) => {
    const count = end - start;
    const h = model.node('Div', [sliceRows(model, hidden, start, end, rows), temperature]);
    const all = matmul(model, h, weight, { transposeB: true });
    const target = reshape(model, sliceRows(model, targets, start, end, rows), count, 1);
    const chosen = model.node('GatherElements', [all, target], { axis: { int: 1 } });
    const limit = supportThreshold(model, all, node, vocabulary);
    const threshold = limit && model.node('Min', [limit, chosen]);
    const logits = restrict(model, all, threshold);
    const normalizer = model.node('ReduceLogSumExp', [logits, model.integers(1)], { keepdims: { int: 1 } });
    parts[0].push(reshape(model, model.node('Sub', [chosen, normalizer]), count));
    if (used[1]) {
      const probabilities = model.node('Softmax', [logits], { axis: { int: -1 } });
      const mean = model.node('ReduceSum', [model.node('Mul', [probabilities, logits]), model.integers(1)], { keepdims: { int: 1 } });
      parts[1].push(reshape(model, model.node('Sub', [normalizer, mean]), count));
    }
    parts[2].push(reshape(model, normalizer, count));
    if (used[3])
      parts[3].push(threshold ? reshape(model, threshold, count) : model.constant('f32', [count], new Float32Array(count).fill(masked)));
  });
  return parts.map((names) => (names.length ? joinRows(model, names) : ''));
};

const headLogProbabilityGradient: Kernel = ({ model, node, inputs, used }) => {
  const [hidden, weight, targets, temperature, entropies, normalizers, thresholds, toLogProbability, toEntropy] = inputs as Name[] as [
    Name,
    Name,
    Name,
    Name,
    Name,
    Name,
    Name,
    Name,
    Name,
  ];
  const rows = shapeOf(node.inputs[0])[0]!;
  const vocabulary = shapeOf(node.inputs[1])[0]!;
  const limited = (node.attributes.topK as number) > 0 || (node.attributes.topP as number) < 1;
  const hiddenParts: Name[] = [];
  let weightSum: Name | undefined;
  overRowChunks(rows, vocabulary, (start, end) => {
    const count = end - start;
    const rowsOf = (name: Name) => sliceRows(model, name, start, end, rows);
    const column = (name: Name) => reshape(model, rowsOf(name), count, 1);
    const h = model.node('Div', [rowsOf(hidden), temperature]);
    const all = matmul(model, h, weight, { transposeB: true });
    const logits = limited ? restrict(model, all, column(thresholds)) : all;
    const z = model.node('Sub', [logits, column(normalizers)]);
    const p = model.node('Exp', [z]);
    // dlogits = a·onehot − p·(a + e·(z + H)), with a and e the incoming gradients of log-probability and entropy
    const a = column(toLogProbability);
    const e = column(toEntropy);
    const negated = node.attributes.withEntropy
      ? model.node('Mul', [
          p,
          model.node('Sub', [
            model.node('Sub', [model.node('Neg', [a]), model.node('Mul', [e, column(entropies)])]),
            model.node('Mul', [z, e]),
          ]),
        ])
      : model.node('Mul', [p, model.node('Neg', [a])]);
    // p·(z + H) tends to 0 where p does, but 0·(−1e30) does not vanish in a product of three
    const finite = limited ? model.node('Where', [model.node('Greater', [z, model.float(masked / 2)]), negated, model.float(0)]) : negated;
    const target = reshape(model, rowsOf(targets), count, 1);
    const toLogits = model.node('ScatterElements', [finite, target, a], { axis: { int: 1 }, reduction: 'add' });
    if (used[0]) hiddenParts.push(model.node('Div', [matmul(model, toLogits, weight), temperature]));
    if (used[1]) {
      const part = matmul(model, toLogits, h, { transposeA: true });
      weightSum = weightSum ? model.node('Add', [weightSum, part]) : part;
    }
  });
  return [used[0] ? joinRows(model, hiddenParts) : '', weightSum ?? ''];
};

const sampleHead: Kernel = ({ model, node, inputs, used }) => {
  const [hidden, weight, uniform, temperature] = inputs as [Name, Name, Name, Name];
  const rows = shapeOf(node.inputs[0])[0]!;
  const vocabulary = shapeOf(node.inputs[1])[0]!;
  const all = matmul(model, model.node('Div', [hidden, temperature]), weight, { transposeB: true });
  const logits = restrict(model, all, supportThreshold(model, all, node, vocabulary));
  let token: Name;
  if (node.attributes.greedy) {
    token = model.node('ArgMax', [logits], { axis: { int: 1 }, keepdims: { int: 1 } });
  } else {
    // the first token whose cumulative probability exceeds u; rounding may leave the total below u, hence the bound
    const cumulative = model.node('CumSum', [model.node('Softmax', [logits], { axis: { int: -1 } }), model.constant('i64', [], [1])]);
    const below = model.node('LessOrEqual', [cumulative, reshape(model, uniform, rows, 1)]);
    const index = model.node('ReduceSum', [model.node('Cast', [below], { to: { int: 7 } }), model.integers(1)], { keepdims: { int: 1 } });
    token = model.node('Min', [index, model.constant('i64', [], [vocabulary - 1])]);
  }
  const tokens = reshape(model, model.node('Cast', [token], { to: { int: 6 } }), rows);
  if (!used[1]) return [tokens, ''];
  const normalizer = model.node('ReduceLogSumExp', [logits, model.integers(1)], { keepdims: { int: 1 } });
  const chosen = model.node('GatherElements', [logits, token], { axis: { int: 1 } });
  return [tokens, reshape(model, model.node('Sub', [chosen, normalizer]), rows)];
};

/** The ONNX form of each operation, in onnxruntime's fused operators where the CPU has them. */
export const kernels = {
  add: elementwise('Add'),
  // never the other's values; but the runtime has to wait for them
  after: ({ model, inputs }) => [model.node('Where', [model.constant('bool', [], [0]), inputs[1]!, inputs[0]!])],
  subtract: elementwise('Sub'),
  multiply: elementwise('Mul'),
  minimum: elementwise('Min'),
  maximum: elementwise('Max'),
  exponential: elementwise('Exp'),
  greaterOrEqual: ({ model, inputs }) => [model.node('Cast', [model.node('GreaterOrEqual', inputs)], { to: { int: 1 } })],
  scale: ({ model, node, inputs }) => [model.node('Mul', [inputs[0]!, model.float(node.attributes.factor as number)])],
  sum: ({ model, inputs }) => [model.node('ReduceSum', inputs, { keepdims: { int: 0 } })],
  sumRows: ({ model, inputs }) => [model.node('ReduceSum', [inputs[0]!, model.integers(0)], { keepdims: { int: 0 } })],
  broadcast: ({ model, node, inputs }) => [model.node('Expand', [inputs[0]!, model.integers(...node.outputs[0]!.shape)])],
  reshape: ({ model, node, inputs }) => [reshape(model, inputs[0]!, ...node.outputs[0]!.shape)],
  matmul: ({ model, node, inputs }) => [
    matmul(model, inputs[0]!, inputs[1]!, node.attributes as unknown as { transposeA: boolean; transposeB: boolean }),
  ],
  gather: ({ model, inputs }) => [model.node('Gather', inputs, { axis: { int: 0 } })],
  scatterAdd: ({ model, node, inputs }) => {
    const [rows, width] = node.inputs[0]!.shape as [number, number];
    const zeros = model.node('Expand', [model.float(0), model.integers(...node.outputs[0]!.shape)]);
    // ScatterND would do, but adds from several threads without a lock: rows that repeat lose some of what is added
    const indices = model.node('Expand', [
      model.node('Cast', [reshape(model, inputs[1]!, rows, 1)], { to: { int: 7 } }),
      model.integers(rows, width),
    ]);
    return [model.node('ScatterElements', [zeros, indices, inputs[0]!], { axis: { int: 0 }, reduction: 'add' })];
  },
  rmsNorm: ({ model, node, inputs, used }) => {
    const outputs = model.nodes('SimplifiedLayerNormalization', inputs, [true, used[1]!], {
      axis: { int: -1 },
      epsilon: node.attributes.epsilon as number,
    });
    return outputs;
  },
  rmsNormGradient: ({ model, inputs, used }) => {
    const [gradient, x, weight, factor] = inputs as [Name, Name, Name, Name];
    const normalized = model.node('Mul', [x, factor]);
    let toX = '';
    if (used[0]) {
      const u = model.node('Mul', [gradient, weight]);
      const mean = model.node('ReduceMean', [model.node('Mul', [u, normalized]), model.integers(1)], { keepdims: { int: 1 } });
      toX = model.node('Mul', [model.node('Sub', [u, model.node('Mul', [normalized, mean])]), factor]);
    }
    const toWeight = used[1]
      ? model.node('ReduceSum', [model.node('Mul', [gradient, normalized]), model.integers(0)], { keepdims: { int: 0 } })
      : '';
    return [toX, toWeight];
  },
  rotaryAngles: ({ model, node, inputs }) => {
    const size = node.attributes.headSize as number;
    const theta = node.attributes.theta as number;
    const frequencies = Float32Array.from({ length: size / 2 }, (_, i) => theta ** ((-2 * i) / size));
    const position = model.node('Cast', [reshape(model, inputs[0]!, -1, 1)], { to: { int: 1 } });
    const angle = model.node('Mul', [position, model.constant('f32', [1, size / 2], frequencies)]);
    return [model.node('Cos', [angle]), model.node('Sin', [angle])];
  },
  rotary: ({ model, node, inputs, shared }) => {
    const [x, cosine, sine] = inputs as [Name, Name, Name];
    const [rows, width] = node.inputs[0]!.shape as [number, number];
    const half = node.inputs[1]!.shape[1]!;
    const turn = node.attributes.inverse ? shared(`-${sine}`, () => model.node('Neg', [sine])) : sine;
    const turned = model.node(
      'RotaryEmbedding',
      [reshape(model, x, 1, rows, width), reshape(model, cosine, 1, rows, half), reshape(model, turn, 1, rows, half)],
      { num_heads: { int: node.attributes.heads as number } },
    );
    return [reshape(model, turned, rows, width)];
  },
  attention,
  attentionGradient,
  cachedAttention,
  swiglu: ({ model, inputs }) => [model.node('Mul', [model.node('QuickGelu', [inputs[0]!], { alpha: 1 }, contrib), inputs[1]!])],
  swigluGradient: ({ model, inputs, used }) => {
    const [gradient, gate, up] = inputs as [Name, Name, Name];
    const sigmoid = model.node('Sigmoid', [gate]);
    const silu = model.node('Mul', [gate, sigmoid]);
    // silu'(x) = s + silu·(1 − s)
    const slope = model.node('Add', [sigmoid, model.node('Sub', [silu, model.node('Mul', [silu, sigmoid])])]);
    return [
      used[0] ? model.node('Mul', [model.node('Mul', [gradient, up]), slope]) : '',
      used[1] ? model.node('Mul', [gradient, silu]) : '',
    ];
  },
  headLogProbability,
  headLogProbabilityGradient,
  sampleHead,
  clipByGlobalNorm: ({ model, inputs: [limit, ...gradients] }) => {
    const squares = gradients.map((gradient) => reshape(model, model.node('ReduceSumSquare', [gradient], { keepdims: { int: 0 } }), 1));
    const norm = model.node('Sqrt', [model.node('ReduceSum', [joinRows(model, squares)], { keepdims: { int: 0 } })]);
    const factor = model.node('Min', [model.float(1), model.node('Div', [limit!, model.node('Add', [norm, model.float(1e-6)])])]);
    return [norm, factor];
  },
  adamw: ({ model, inputs, shared }) => {
    const [parameter, rawGradient, mean, variance, factor, scalars] = inputs as [Name, Name, Name, Name, Name, Name];
    const scalar = (index: number) =>
      shared(`${scalars}[${index}]`, () => model.node('Gather', [scalars, model.constant('i64', [], [index])]));
    const [rate, beta1, beta2, epsilon, decay, correction1, correction2] = [0, 1, 2, 3, 4, 5, 6].map(scalar) as [
      Name,
      Name,
      Name,
      Name,
      Name,
      Name,
      Name,
    ];
    const derived = (key: string, build: () => Name) => shared(`${scalars} ${key}`, build);
    const gradient = model.node('Mul', [rawGradient, factor]);
    const newMean = model.node('Add', [
      model.node('Mul', [mean, beta1]),
      model.node('Mul', [gradient, derived('1-β1', () => model.node('Sub', [model.float(1), beta1]))]),
    ]);
    const newVariance = model.node('Add', [
      model.node('Mul', [variance, beta2]),
      model.node('Mul', [model.node('Mul', [gradient, gradient]), derived('1-β2', () => model.node('Sub', [model.float(1), beta2]))]),
    ]);
    const denominator = model.node('Add', [model.node('Sqrt', [model.node('Div', [newVariance, correction2])]), epsilon]);
    const stepSize = derived('lr/c1', () => model.node('Div', [rate, correction1]));
    const kept = derived('1-lr·decay', () => model.node('Sub', [model.float(1), model.node('Mul', [rate, decay])]));
    const step = model.node('Mul', [model.node('Div', [newMean, denominator]), stepSize]);
    return [model.node('Sub', [model.node('Mul', [parameter, kept]), step]), newMean, newVariance];
  },
} satisfies Record<OperationName, Kernel>;
