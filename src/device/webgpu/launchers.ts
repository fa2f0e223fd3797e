import { type Append, type Node, type OperationName, type ProductAttributes, sizeOf, type Tensor } from '../../tensor/index';
import {
  adamw,
  appendToCache,
  clipByGlobalNorm,
  type ElementwiseOperation,
  gather,
  headLogitsGradient,
  headLogProbability,
  isLimited,
  rmsNorm,
  rmsNormGradient,
  rmsNormWeightGradient,
  rotary,
  rotaryAngles,
  rotaryFrequencies,
  type Support,
  sampleHead,
  scatterAdd,
  select,
  sum,
  sumGroups,
  sumRows,
  swiglu,
  swigluGradient,
} from '../kernels/index';
import { attentionForward } from './attention';
import { attentionGradientKeys, attentionGradientQueries } from './attention-gradient';
import { type AttentionSizes, type CacheSizes, fittingAttention } from './attention-tiles';
import { cachedAttention } from './cached-attention';
import type { View } from './fusion';
import type { Lowering, Use, Value } from './lower';
import { type MatmulShape, matmulBy } from './matmul';
import type { Emission } from './schedule';

/** Most bytes of logits that exist at a time. */
const headChunkBytes = 64 << 20;

type Launcher = (lowering: Lowering, emission: Emission) => void;

const heightOf = (tensor: Tensor) => tensor.shape[0]!;
const widthOf = (tensor: Tensor) => tensor.shape[1]!;
const only = ({ nodes: [node] }: Emission) => node!;

function multiply(lowering: Lowering, shape: MatmulShape, uses: readonly (Use | Value)[]): void {
  lowering.launch(matmulBy(lowering.options.methodOf(shape), shape), uses, shape);
}

const matmul: Launcher = (lowering, { nodes: [node], product, rowSums }) => {
  const [a, b] = node!.inputs as [Tensor, Tensor];
  const { transposeA, transposeB, gradient } = node!.attributes as unknown as ProductAttributes;
  const { alpha, bias, result } = product!;
  const { accumulate, addend, y } = lowering.accumulate(result);
  const sums = rowSums && lowering.accumulate(rowSums.outputs[0]!);
  const along = sums !== undefined && sums.accumulate !== ' + addend';
  const shape: MatmulShape = {
    rows: heightOf(node!.outputs[0]!),
    columns: widthOf(node!.outputs[0]!),
    inner: transposeA ? heightOf(a) : widthOf(a),
    transposeA,
    transposeB,
    alpha,
    gradient,
    bias: bias !== undefined,
    accumulate,
    ...(along && { rowSums: sums.accumulate as '' | ' + itself' }),
  };
  const biases = bias ? [lowering.read(bias)] : [];
  multiply(lowering, shape, [lowering.read(a), lowering.read(b), ...biases, ...addend, y, ...(along ? [sums.y] : [])]);
  if (sums && !along) {
    lowering.launch(sumRows(heightOf(a), widthOf(a), sums.accumulate), [lowering.read(a), ...sums.addend, sums.y]);
  }
};

const rmsNormGradients: Launcher = (lowering, emission) => {
  const node = only(emission);
  const [gradient, x, weight, factors] = node.inputs.map((input) => lowering.read(input)) as [Value, Value, Value, Value];
  const [rows, width] = node.inputs[1]!.shape as [number, number];
  const needed = (tensor: Tensor) => isRead(lowering, tensor);
  const [toX, toWeight] = node.outputs as [Tensor, Tensor];
  if (needed(toWeight)) {
    const { accumulate, addend, y } = lowering.accumulate(toWeight);
    lowering.launch(rmsNormWeightGradient(rows, width, accumulate), [gradient, x, factors, ...addend, y]);
  }
  if (needed(toX)) {
    const { accumulate, addend, y } = lowering.accumulate(toX);
    lowering.launch(rmsNormGradient(rows, width, accumulate), [gradient, x, weight, factors, ...addend, y]);
  }
};

/** Whether anything reads an output, itself or as a term of a sum. */
function isRead({ schedule: { plan, lastRead } }: Lowering, tensor: Tensor): boolean {
  return plan.sums.has(tensor) || lastRead.has(tensor);
}

/** Rows of the head at a time, a multiple of 64 so that parts of buffers begin where bindings may. */
function headChunks(rows: number, vocabulary: number): { readonly start: number; readonly count: number }[] {
  const size = Math.max(64, Math.floor(headChunkBytes / (4 * vocabulary) / 64) * 64);
  return Array.from({ length: Math.ceil(rows / size) }, (_, index) => ({
    start: index * size,
    count: Math.min(size, rows - index * size),
  }));
}

const rowsOf = (value: Value, start: number, count: number, width: number): Use => ({
  value,
  offset: 4 * start * width,
  bytes: 4 * count * width,
});

const logitsShape = (rows: number, vocabulary: number, width: number): MatmulShape => ({
  rows,
  columns: vocabulary,
  inner: width,
  transposeA: false,
  transposeB: true,
});

const headForward: Launcher = (lowering, emission) => {
  const node = only(emission);
  const [hidden, weight, targets, temperature] = node.inputs.map((input) => lowering.read(input)) as [Value, Value, Value, Value];
  const [rows, width] = node.inputs[0]!.shape as [number, number];
  const vocabulary = heightOf(node.inputs[1]!);
  const results = node.outputs.map((output) => lowering.write(output));
  const chunks = headChunks(rows, vocabulary);
  const logits = lowering.temporary(4 * chunks[0]!.count * vocabulary);
  for (const { start, count } of chunks) {
    multiply(lowering, logitsShape(count, vocabulary, width), [rowsOf(hidden, start, count, width), weight, logits]);
    lowering.launch(headLogProbability(count, vocabulary, start, node.attributes as unknown as Support), [
      logits,
      targets,
      temperature,
      ...results,
    ]);
  }
};

const headBackward: Launcher = (lowering, emission) => {
  const node = only(emission);
  const [hidden, weight, targets, temperature, entropies, normalizers, thresholds, toLogProbability, toEntropy] = node.inputs.map((input) =>
    lowering.read(input),
  ) as Value[] as [Value, Value, Value, Value, Value, Value, Value, Value, Value];
  const [rows, width] = node.inputs[0]!.shape as [number, number];
  const vocabulary = heightOf(node.inputs[1]!);
  const limited = isLimited(node.attributes as unknown as Support);
  const withEntropy = node.attributes.withEntropy as boolean;
  const [toHidden, toWeight] = node.outputs as [Tensor, Tensor];
  const hiddenResult = isRead(lowering, toHidden) ? lowering.write(toHidden) : undefined;
  const weightResult = isRead(lowering, toWeight) ? lowering.accumulate(toWeight) : undefined;
  const chunks = headChunks(rows, vocabulary);
  const logits = lowering.temporary(4 * chunks[0]!.count * vocabulary);
  for (const [index, { start, count }] of chunks.entries()) {
    const part = rowsOf(hidden, start, count, width);
    multiply(lowering, logitsShape(count, vocabulary, width), [part, weight, logits]);
    const entropy = withEntropy ? [entropies, toEntropy] : [];
    const uses = [targets, temperature, normalizers, toLogProbability, ...entropy, ...(limited ? [thresholds] : []), logits];
    lowering.launch(headLogitsGradient(count, vocabulary, start, { limited, withEntropy }), uses);
    if (hiddenResult) {
      const shape = { rows: count, columns: width, inner: vocabulary, transposeA: false, transposeB: false, gradient: 'a' } as const;
      multiply(lowering, shape, [logits, weight, rowsOf(hiddenResult, start, count, width)]);
    }
    if (weightResult) {
      const accumulate = index > 0 ? ' + itself' : weightResult.accumulate;
      const product = { rows: vocabulary, columns: width, inner: count, transposeA: true, transposeB: false } as const;
      const shape = { ...product, accumulate, gradient: 'a' } as const;
      multiply(lowering, shape, [logits, part, ...(index > 0 ? [] : weightResult.addend), weightResult.y]);
    }
  }
};

const sample: Launcher = (lowering, emission) => {
  const node = only(emission);
  const [hidden, weight, uniform, temperature] = node.inputs.map((input) => lowering.read(input)) as [Value, Value, Value, Value];
  const [rows, width] = node.inputs[0]!.shape as [number, number];
  const vocabulary = heightOf(node.inputs[1]!);
  const logits = lowering.temporary(4 * rows * vocabulary);
  multiply(lowering, logitsShape(rows, vocabulary, width), [hidden, weight, logits]);
  const call = sampleHead(rows, vocabulary, node.attributes as unknown as Support, node.attributes.greedy as boolean);
  lowering.launch(call, [logits, uniform, temperature, ...node.outputs.map((output) => lowering.write(output))]);
};

const attention: Launcher = (lowering, emission) => {
  const node = only(emission);
  const sizes = node.attributes as unknown as AttentionSizes;
  const call = fittingAttention(sizes, lowering.options.sharedBytes, (tile) =>
    attentionForward({ ...sizes, segmented: node.inputs.length > 3 }, tile),
  );
  lowering.launch(call, [...node.inputs.map((input) => lowering.read(input)), ...node.outputs.map((output) => lowering.write(output))]);
};

const attentionGradient: Launcher = (lowering, emission) => {
  const node = only(emission);
  const sizes = { ...(node.attributes as unknown as AttentionSizes), segmented: node.inputs.length > 6 };
  const [g, q, k, v, y, stats, ...segments] = node.inputs.map((input) => lowering.read(input)) as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const [toQueries, toKeys, toValues] = node.outputs.map((output) => lowering.write(output)) as [Value, Value, Value];
  const fitting = (build: typeof attentionGradientQueries) =>
    fittingAttention(sizes, lowering.options.sharedBytes, (tile) => build(sizes, tile));
  lowering.launch(fitting(attentionGradientQueries), [g, q, k, v, ...segments, y, stats, toQueries]);
  lowering.launch(fitting(attentionGradientKeys), [g, q, k, v, ...segments, stats, toKeys, toValues]);
};

const attentionOverCache: Launcher = (lowering, emission) => {
  const node = only(emission);
  const sizes = { ...(node.attributes as unknown as Omit<CacheSizes, 'chosen'>), chosen: node.inputs.length > 6 };
  const call = fittingAttention(sizes, lowering.options.sharedBytes, (tile) => cachedAttention(sizes, tile));
  lowering.launch(call, [...node.inputs.map((input) => lowering.read(input)), lowering.write(node.outputs[0]!)]);
};

/** How the operations are launched that have a kernel of their own. */
export const launchers = {
  attention,
  attentionGradient,
  cachedAttention: attentionOverCache,
  matmul,
  sum: (lowering, { nodes: [node] }) => {
    lowering.launch(sum(sizeOf(node!.inputs[0]!.shape)), [lowering.read(node!.inputs[0]!), lowering.write(node!.outputs[0]!)]);
  },
  sumRows: (lowering, { nodes: [node] }) => {
    const [x] = node!.inputs as [Tensor];
    const { accumulate, addend, y } = lowering.accumulate(node!.outputs[0]!);
    lowering.launch(sumRows(heightOf(x), widthOf(x), accumulate), [lowering.read(x), ...addend, y]);
  },
  gather: (lowering, { nodes: [node] }) => {
    const [table, rows] = node!.inputs as [Tensor, Tensor];
    lowering.launch(gather(sizeOf(rows.shape), widthOf(table), table.type), [
      lowering.read(table),
      lowering.read(rows),
      lowering.write(node!.outputs[0]!),
    ]);
  },
  scatterAdd: (lowering, { nodes: [node] }) => {
    const [values, rows] = node!.inputs as [Tensor, Tensor];
    const height = node!.attributes.height as number;
    const { starts, order } = lowering.sorted(rows, height);
    const { accumulate, addend, y } = lowering.accumulate(node!.outputs[0]!);
    lowering.launch(scatterAdd(height, widthOf(values), accumulate), [lowering.read(values), starts, order, ...addend, y]);
  },
  rmsNorm: (lowering, { nodes: [node] }) => {
    const [x, weight] = node!.inputs as [Tensor, Tensor];
    lowering.launch(rmsNorm(heightOf(x), widthOf(x), node!.attributes.epsilon as number), [
      lowering.read(x),
      lowering.read(weight),
      ...node!.outputs.map((output) => lowering.write(output)),
    ]);
  },
  rmsNormGradient: rmsNormGradients,
  rotaryAngles: (lowering, { nodes: [node] }) => {
    const { headSize, theta } = node!.attributes as { headSize: number; theta: number };
    lowering.launch(rotaryAngles(heightOf(node!.inputs[0]!), headSize), [
      lowering.read(node!.inputs[0]!),
      lowering.constant(rotaryFrequencies(headSize, theta)),
      ...node!.outputs.map((output) => lowering.write(output)),
    ]);
  },
  rotary: (lowering, { nodes }) => {
    const [first] = nodes as [Node];
    const headSize = 2 * widthOf(first.inputs[1]!);
    const heads = nodes.map(({ attributes }) => attributes.heads as number);
    lowering.launch(rotary(heightOf(first.inputs[0]!), headSize, heads, first.attributes.inverse as boolean), [
      lowering.read(first.inputs[1]!),
      lowering.read(first.inputs[2]!),
      ...nodes.map(({ inputs }) => lowering.read(inputs[0]!)),
      ...nodes.map(({ outputs }) => lowering.write(outputs[0]!)),
    ]);
  },
  swiglu: (lowering, { nodes: [node] }) => {
    lowering.launch(swiglu(sizeOf(node!.outputs[0]!.shape)), [
      ...node!.inputs.map((input) => lowering.read(input)),
      lowering.write(node!.outputs[0]!),
    ]);
  },
  swigluGradient: (lowering, { nodes: [node] }) => {
    lowering.launch(swigluGradient(sizeOf(node!.outputs[0]!.shape)), [
      ...node!.inputs.map((input) => lowering.read(input)),
      ...node!.outputs.map((output) => lowering.write(output)),
    ]);
  },
  headLogProbability: headForward,
  headLogProbabilityGradient: headBackward,
  sampleHead: sample,
  select: (lowering, { nodes: [node] }) => {
    const [condition, a, b, rows] = node!.inputs as [Tensor, Tensor, Tensor, Tensor | undefined];
    const reads = [condition, a, ...(rows ? [rows] : [])].map((tensor) => lowering.read(tensor));
    lowering.launch(select(sizeOf(a.shape), rows !== undefined), [...reads, lowering.change(b, node!.outputs[0]!)]);
  },
  clipByGlobalNorm: (lowering, { nodes: [node] }) => {
    const [limit, ...gradients] = node!.inputs as [Tensor, ...Tensor[]];
    const groups = gradients.map(({ shape }) => sumGroups(sizeOf(shape), true));
    const total = groups.reduce((a, b) => a + b, 0);
    const squares = lowering.temporary(4 * total);
    let place = 0;
    for (const [index, gradient] of gradients.entries()) {
      lowering.launch(sum(sizeOf(gradient.shape), { squares: true, place }), [lowering.read(gradient), squares]);
      place += groups[index]!;
    }
    lowering.launch(clipByGlobalNorm(total), [squares, lowering.read(limit), ...node!.outputs.map((output) => lowering.write(output))]);
  },
  adamw: (lowering, { nodes: [node] }) => {
    const [parameter, gradient, mean, variance, factor, scalars] = node!.inputs as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
    const state = [parameter, mean, variance].map((tensor, index) => lowering.change(tensor, node!.outputs[index]!));
    lowering.launch(adamw(sizeOf(parameter.shape)), [lowering.read(gradient), lowering.read(factor), lowering.read(scalars), ...state]);
  },
} satisfies Record<Exclude<OperationName, ElementwiseOperation | View>, Launcher>;

/** Writes new rows to a pair of caches. */
export function append(lowering: Lowering, keys: Append, values: Append): void {
  const caches = [keys, values].map(({ buffer }) => lowering.graph.buffers.get(buffer)!);
  const [, kvHeads, capacity, headSize] = caches[0]!.shape as [number, number, number, number];
  const { value, offsets, counts, rows } = keys;
  const batch = offsets.shape[0]!;
  const length = sizeOf(value.shape) / (batch * kvHeads * headSize);
  const reads = [value, values.value, offsets, counts, ...(rows ? [rows] : []), ...caches].map((tensor) => lowering.read(tensor));
  lowering.launch(appendToCache({ batch, length, kvHeads, headSize, capacity }, rows !== undefined), reads);
}
