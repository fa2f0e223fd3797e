import type { OperationName } from '../../tensor/index';
import { attention, attentionGradient, cachedAttention } from './attention';
import { headLogProbability, headLogProbabilityGradient, sampleHead } from './head';
import { contrib, joinRows, type Kernel, matmul, project } from './kernel';
import type { Name } from './onnx';

const elementwise =
  (op: string): Kernel =>
  ({ model, inputs }) => [model.node(op, inputs)];

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
  reshape: ({ model, node, inputs }) => [model.reshape(inputs[0]!, ...node.outputs[0]!.shape)],
  matmul: ({ model, node, inputs }) => {
    const { transposeA, transposeB } = node.attributes as unknown as { transposeA: boolean; transposeB: boolean };
    const [rows, columns] = node.outputs[0]!.shape as [number, number];
    if (transposeB && !transposeA) return [project(model, inputs[0]!, inputs[1]!, rows, columns)];
    return [matmul(model, inputs[0]!, inputs[1]!, { transposeA, transposeB })];
  },
  gather: ({ model, inputs }) => [model.node('Gather', inputs, { axis: { int: 0 } })],
  scatterAdd: ({ model, node, inputs }) => {
    const [rows, width] = node.inputs[0]!.shape as [number, number];
    const zeros = model.node('Expand', [model.float(0), model.integers(...node.outputs[0]!.shape)]);
    // ScatterND would do, but adds from several threads without a lock: rows that repeat lose some of what is added
    const indices = model.node('Expand', [
      model.node('Cast', [model.reshape(inputs[1]!, rows, 1)], { to: { int: 7 } }),
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
    const position = model.node('Cast', [model.reshape(inputs[0]!, -1, 1)], { to: { int: 1 } });
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
      [model.reshape(x, rows, 1, width), model.reshape(cosine, rows, 1, half), model.reshape(turn, rows, 1, half)],
      { num_heads: { int: node.attributes.heads as number } },
    );
    model.hasShape(turned, rows, 1, width);
    return [model.reshape(turned, rows, width)];
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
  select: ({ model, inputs }) => {
    const [condition, a, b, rows] = inputs as [Name, Name, Name, Name | undefined];
    const held = rows === undefined ? b : model.node('Gather', [b, rows]);
    const chosen = model.node('Where', [model.node('Greater', [condition, model.constant('i32', [], [0])]), a, held]);
    return [rows === undefined ? chosen : model.node('ScatterElements', [b, rows, chosen])];
  },
  clipByGlobalNorm: ({ model, inputs: [limit, ...gradients] }) => {
    const squares = gradients.map((gradient) => model.reshape(model.node('ReduceSumSquare', [gradient], { keepdims: { int: 0 } }), 1));
    const norm = model.node('Sqrt', [model.node('ReduceSum', [joinRows(model, squares)], { keepdims: { int: 0 } })]);
    const factor = model.node('Min', [model.float(1), model.node('Div', [limit!, model.node('Add', [norm, model.float(1e-6)])])]);
    return [norm, factor];
  },
  adamw: ({ model, inputs, shared }) => {
    const [parameter, rawGradient, mean, variance, factor, scalars] = inputs as [Name, Name, Name, Name, Name, Name];
    const scalar = (index: number) =>
      shared(`${scalars}[${index}]`, () => model.node('Gather', [scalars, model.constant('i64', [], [index])]));
    const [rate, beta1, beta2, epsilon] = [scalar(0), scalar(1), scalar(2), scalar(3)] as const;
    const [decay, correction1, correction2] = [scalar(4), scalar(5), scalar(6)] as const;
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
