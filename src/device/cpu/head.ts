import type { Node } from '../../tensor/index';
import { joinRows, type Kernel, type Lowering, masked, matmul, project, shapeOf, sliceRows } from './kernel';
import type { Name, OnnxModel } from './onnx';

/** Rows of the head that are turned into logits at a time: keeps [rows, V] within a few megabytes. */
const headChunkBytes = 8 << 20;
/** But no fewer than these, however large the vocabulary: each chunk reads the whole head, and a product of few rows waits for memory. */
const fewestHeadRows = 256;

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

/** Rows of the head that are turned into logits at a time. */
export function headChunkRows(vocabulary: number): number {
  return Math.max(fewestHeadRows, Math.floor(headChunkBytes / (4 * vocabulary)));
}

/** Calls `build` for row ranges of at most the chunk size. */
function overRowChunks(rows: number, vocabulary: number, build: (start: number, end: number) => void): void {
  const chunk = headChunkRows(vocabulary);
  for (let start = 0; start < rows; start += chunk) build(start, Math.min(rows, start + chunk));
}

/** exp(l) / Σ exp(l) and log Σ exp(l) [rows, 1] of logits l [rows, V]. */
function normalize(model: OnnxModel, logits: Name): { readonly probabilities: Name; readonly normalizers: Name } {
  const largest = (name: Name) => model.node('ReduceMax', [name, model.integers(1)], { keepdims: { int: 1 } });
  const probabilities = model.node('Softmax', [logits], { axis: { int: -1 } });
  // the largest probability is 1 / Σ exp(l − max): ReduceLogSumExp would add it all up again, in one thread and with a larger error
  return { probabilities, normalizers: model.node('Sub', [largest(logits), model.node('Log', [largest(probabilities)])]) };
}

/** What the head makes of some rows; columns are [rows, 1]. */
interface HeadRows {
  /** Hidden states over temperature [rows, d]. */
  readonly hidden: Name;
  readonly targets: Name;
  /** [rows, V], −1e30 where the support ends. */
  readonly logits: Name;
  readonly probabilities: Name;
  readonly normalizers: Name;
  readonly logProbabilities: Name;
  readonly entropies: Name;
  readonly thresholds?: Name;
}

/** The head of rows start…end. With `waitFor`, not before that is known. */
function headRows({ model, node, inputs, used }: Lowering, start: number, end: number, waitFor?: Name): HeadRows {
  const [hidden, weight, targets, temperature] = inputs as [Name, Name, Name, Name];
  const [rows, vocabulary] = [shapeOf(node.inputs[0])[0]!, shapeOf(node.inputs[1])[0]!];
  const given = sliceRows(model, hidden, start, end, rows);
  const h = model.node('Div', [waitFor ? model.node('Where', [model.constant('bool', [], [0]), waitFor, given]) : given, temperature]);
  const all = project(model, h, weight, end - start, vocabulary);
  const target = model.reshape(sliceRows(model, targets, start, end, rows), end - start, 1);
  const chosen = model.node('GatherElements', [all, target], { axis: { int: 1 } });
  const limit = supportThreshold(model, all, node, vocabulary);
  const thresholds = limit && model.node('Min', [limit, chosen]);
  const logits = restrict(model, all, thresholds);
  const { probabilities, normalizers } = normalize(model, logits);
  const mean = () => model.node('ReduceSum', [model.node('Mul', [probabilities, logits]), model.integers(1)], { keepdims: { int: 1 } });
  return {
    hidden: h,
    targets: target,
    logits,
    probabilities,
    normalizers,
    logProbabilities: model.node('Sub', [chosen, normalizers]),
    entropies: used[1] ? model.node('Sub', [normalizers, mean()]) : '',
    thresholds,
  };
}

/** The outputs of the operation, row ranges joined. */
function joinOutputs({ model, used }: Lowering, parts: readonly { readonly rows: number; readonly head: HeadRows }[]): Name[] {
  const joined = (of: (head: HeadRows) => Name | undefined) =>
    joinRows(
      model,
      parts.map(({ rows, head }) => {
        const column = of(head);
        return column ? model.reshape(column, rows) : model.constant('f32', [rows], new Float32Array(rows).fill(masked));
      }),
    );
  return [
    joined(({ logProbabilities }) => logProbabilities),
    used[1] ? joined(({ entropies }) => entropies) : '',
    joined(({ normalizers }) => normalizers),
    used[3] ? joined(({ thresholds }) => thresholds) : '',
  ];
}

export const headLogProbability: Kernel = (lowering) => {
  const [rows, vocabulary] = [shapeOf(lowering.node.inputs[0])[0]!, shapeOf(lowering.node.inputs[1])[0]!];
  const parts: { rows: number; head: HeadRows }[] = [];
  overRowChunks(rows, vocabulary, (start, end) => parts.push({ rows: end - start, head: headRows(lowering, start, end) }));
  return joinOutputs(lowering, parts);
};

/** Gathers dL/d hidden and dL/d weight over row ranges. */
class HeadGradient {
  readonly #hiddenParts: Name[] = [];
  #weightSum: Name | undefined;

  constructor(
    readonly model: OnnxModel,
    readonly node: Node,
    readonly used: readonly boolean[],
    readonly weight: Name,
    readonly temperature: Name,
  ) {}

  /**
   * dL/dl = a·onehot − p·(a + e·(z + H)), with z = l − log Σ exp l, and a and e the gradients that come in for log-probability and entropy,
   * [rows, 1] each.
   */
  add(head: Pick<HeadRows, 'hidden' | 'targets' | 'logits' | 'probabilities' | 'normalizers' | 'entropies'>, a: Name, e: Name): void {
    const { model, node, used, weight, temperature } = this;
    const { hidden, targets, logits, probabilities, normalizers, entropies } = head;
    let factor = model.node('Neg', [a]);
    if (node.attributes.withEntropy) {
      const still = model.node('Sub', [factor, model.node('Mul', [e, model.node('Sub', [entropies, normalizers])])]);
      factor = model.node('Sub', [still, model.node('Mul', [logits, e])]);
    }
    const toLogits = model.node('ScatterElements', [model.node('Mul', [probabilities, factor]), targets, a], {
      axis: { int: 1 },
      reduction: 'add',
    });
    if (used[0]) this.#hiddenParts.push(model.node('Div', [matmul(model, toLogits, weight), temperature]));
    if (used[1]) {
      const part = matmul(model, toLogits, hidden, { transposeA: true });
      this.#weightSum = this.#weightSum ? model.node('Add', [this.#weightSum, part]) : part;
    }
  }

  /** A number that is known only when all that was added so far has been computed. */
  get done(): Name | undefined {
    const last = this.#hiddenParts.at(-1) ?? this.#weightSum;
    return last && this.model.node('ReduceMax', [last], { keepdims: { int: 0 } });
  }

  get outputs(): Name[] {
    return [this.used[0] ? joinRows(this.model, this.#hiddenParts) : '', this.#weightSum ?? ''];
  }
}

/** Where loss and head are not computed together: the logits are computed a second time. */
export const headLogProbabilityGradient: Kernel = ({ model, node, inputs, used }) => {
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
  const [rows, vocabulary] = [shapeOf(node.inputs[0])[0]!, shapeOf(node.inputs[1])[0]!];
  const limited = (node.attributes.topK as number) > 0 || (node.attributes.topP as number) < 1;
  const gradient = new HeadGradient(model, node, used, weight, temperature);
  overRowChunks(rows, vocabulary, (start, end) => {
    const column = (name: Name) => model.reshape(sliceRows(model, name, start, end, rows), end - start, 1);
    const h = model.node('Div', [sliceRows(model, hidden, start, end, rows), temperature]);
    const all = project(model, h, weight, end - start, vocabulary);
    const logits = limited ? restrict(model, all, column(thresholds)) : all;
    const probabilities = model.node('Exp', [model.node('Sub', [logits, column(normalizers)])]);
    const given = {
      hidden: h,
      targets: column(targets),
      logits,
      probabilities,
      normalizers: column(normalizers),
      entropies: column(entropies),
    };
    gradient.add(given, column(toLogProbability), column(toEntropy));
  });
  return gradient.outputs;
};

/** The gradient that comes in for some rows of the log-probabilities and entropies [rows], given those. */
export type IncomingRows = (
  start: number,
  end: number,
  found: { readonly logProbabilities: Name; readonly entropies: Name },
) => { readonly toLogProbabilities: Name; readonly toEntropies: Name };

/**
 * The head and its gradient in one pass: each range of rows goes through the loss and back while its logits are there, before the next one
 * begins. Saves a third of the head's matrix products.
 */
export function headWithGradient(
  forward: Lowering,
  gradientNode: Node,
  gradientUsed: readonly boolean[],
  incoming: IncomingRows,
): { readonly outputs: readonly Name[]; readonly gradients: readonly Name[] } {
  const { model, node, inputs } = forward;
  const [rows, vocabulary] = [shapeOf(node.inputs[0])[0]!, shapeOf(node.inputs[1])[0]!];
  const gradient = new HeadGradient(model, gradientNode, gradientUsed, inputs[1]!, inputs[3]!);
  const parts: { rows: number; head: HeadRows }[] = [];
  overRowChunks(rows, vocabulary, (start, end) => {
    const count = end - start;
    const head = headRows(forward, start, end, gradient.done);
    parts.push({ rows: count, head });
    const { toLogProbabilities, toEntropies } = incoming(start, end, {
      logProbabilities: model.reshape(head.logProbabilities, count),
      entropies: head.entropies && model.reshape(head.entropies, count),
    });
    gradient.add(head, model.reshape(toLogProbabilities, count, 1), model.reshape(toEntropies, count, 1));
  });
  return { outputs: joinOutputs(forward, parts), gradients: gradient.outputs };
}

/** The divisor of a number that is closest to its square root, from below. */
function middleDivisor(size: number): number {
  let divisor = Math.floor(Math.sqrt(size));
  while (size % divisor !== 0) divisor--;
  return divisor;
}

/**
 * For each row the first index at which the cumulative sum of values [rows, size] exceeds u [rows, 1]; → [rows, 1] i64. Rounding may leave the
 * total at or below u: a hair less than the total is asked for then, so that what is found is never a value of 0.
 */
function firstAbove(model: OnnxModel, values: Name, u: Name, size: number): { readonly index: Name; readonly cumulative: Name } {
  const cumulative = model.node('CumSum', [values, model.constant('i64', [], [1])]);
  const total = model.node('Slice', [cumulative, model.integers(size - 1), model.integers(size), model.integers(1)]);
  const bound = model.node('Min', [u, model.node('Mul', [total, model.float(1 - 1e-6)])]);
  const below = model.node('Cast', [model.node('LessOrEqual', [cumulative, bound])], { to: { int: 1 } });
  const index = model.node('Cast', [model.node('ReduceSum', [below, model.integers(1)], { keepdims: { int: 1 } })], { to: { int: 7 } });
  return { index, cumulative };
}

/**
 * The first token whose cumulative probability exceeds u: first the block of the vocabulary, then the token in it. One cumulative sum over the
 * whole vocabulary takes six times as long, in one thread, and its rounding grows with every token.
 */
function tokenAt(model: OnnxModel, probabilities: Name, u: Name, rows: number, vocabulary: number): Name {
  const blocks = middleDivisor(vocabulary);
  const size = vocabulary / blocks;
  const values = model.reshape(probabilities, rows, blocks, size);
  const sums = model.node('ReduceSum', [values, model.integers(2)], { keepdims: { int: 0 } });
  const { index: block, cumulative } = firstAbove(model, sums, u, blocks);
  const at = (name: Name) => model.node('GatherElements', [name, block], { axis: { int: 1 } });
  const rest = model.node('Max', [model.node('Sub', [u, model.node('Sub', [at(cumulative), at(sums)])]), model.float(0)]);
  const chosen = model.reshape(model.node('GatherND', [values, block], { batch_dims: { int: 1 } }), rows, size);
  const { index } = firstAbove(model, chosen, rest, size);
  return model.node('Add', [model.node('Mul', [block, model.constant('i64', [], [size])]), index]);
}

export const sampleHead: Kernel = ({ model, node, inputs, used }) => {
  const [hidden, weight, uniform, temperature] = inputs as [Name, Name, Name, Name];
  const [rows, vocabulary] = [shapeOf(node.inputs[0])[0]!, shapeOf(node.inputs[1])[0]!];
  const all = project(model, model.node('Div', [hidden, temperature]), weight, rows, vocabulary);
  const logits = restrict(model, all, supportThreshold(model, all, node, vocabulary));
  const { probabilities, normalizers } = normalize(model, logits);
  const token = node.attributes.greedy
    ? model.node('ArgMax', [logits], { axis: { int: 1 }, keepdims: { int: 1 } })
    : tokenAt(model, probabilities, model.reshape(uniform, rows, 1), rows, vocabulary);
  const tokens = model.reshape(model.node('Cast', [token], { to: { int: 6 } }), rows);
  if (!used[1]) return [tokens, ''];
  const chosen = model.node('GatherElements', [logits, token], { axis: { int: 1 } });
  return [tokens, model.reshape(model.node('Sub', [chosen, normalizers]), rows)];
};
