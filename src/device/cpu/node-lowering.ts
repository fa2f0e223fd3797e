import { type Append, type Graph, type Node, sameShape, type Tensor } from '../../tensor/index';
import { decodingAttention, type Rotation } from './attention';
import { headWithGradient } from './head';
import { type Kernel, type Lowering, manyRows, sliceRows } from './kernel';
import { kernels } from './kernels';
import type { Name, OnnxModel } from './onnx';
import { RowByRow } from './row-by-row';

/** What leaves a graph. */
export function resultsOf(graph: Graph): Tensor[] {
  return [...graph.outputs.values(), ...graph.assignments.values(), ...graph.appends.map((append) => append.value)];
}

/**
 * Numbers of cached keys, counted once for each head that reads them, up to which the runtime's operator for attention is the faster: it reads
 * them for each head anew, where products of matrices do it once for those that share them.
 */
const smallCache = 2 ** 20;

const kernelOf = (node: Node): Kernel => kernels[node.operation];

/** Writes the nodes of a graph to a model, each once, some of them together where that saves work. */
export class NodeLowering {
  readonly #shared = new Map<string, unknown>();
  readonly #done = new Set<Node>();
  /** Appends that the model does itself, and the value that is the cache afterwards. */
  readonly appended = new Map<Append, Name>();
  /** The nodes that read a tensor; undefined for what leaves the graph. */
  readonly #readers = new Map<Tensor, (Node | undefined)[]>();

  /** @param names of what is known already; those of the nodes' outputs are added */
  constructor(
    readonly graph: Graph,
    readonly model: OnnxModel,
    readonly names: Map<Tensor, Name>,
    readonly live: ReadonlySet<Tensor>,
  ) {
    const read = (tensor: Tensor, reader?: Node) => {
      const readers = this.#readers.get(tensor);
      if (readers) readers.push(reader);
      else this.#readers.set(tensor, [reader]);
    };
    for (const node of graph.nodes) if (this.#used(node).includes(true)) for (const input of node.inputs) read(input, node);
    for (const tensor of resultsOf(graph)) read(tensor);
  }

  lower(node: Node): void {
    if (this.#done.has(node) || !this.#used(node).includes(true)) return;
    if (node.operation === 'headLogProbability' && this.#lowerWithGradient(node)) return;
    if (node.operation === 'matmul' && this.#sumOf(node)) return;
    if (node.operation === 'add' && this.#lowerProductSum(node)) return;
    if (node.operation === 'cachedAttention' && this.#lowerWithAppends(node)) return;
    this.#bind(node, kernelOf(node)(this.#lowering(node)));
  }

  #lowering(node: Node, inputs: readonly Name[] = node.inputs.map((input) => this.names.get(input) ?? '')): Lowering {
    const shared = <T>(key: string, build: () => T) => {
      if (!this.#shared.has(key)) this.#shared.set(key, build());
      return this.#shared.get(key) as T;
    };
    return { model: this.model, node, inputs, used: this.#used(node), shared };
  }

  #used(node: Node): boolean[] {
    return node.outputs.map((output) => this.live.has(output));
  }

  #bind(node: Node, outputs: readonly Name[]): void {
    this.#done.add(node);
    node.outputs.forEach((output, index) => {
      if (outputs[index]) this.names.set(output, outputs[index]);
    });
  }

  /** The sum that a matrix product goes into and nowhere else, if the runtime can add to what it multiplies. */
  #sumOf(product: Node): Node | undefined {
    const [rows, columns] = product.outputs[0]!.shape as [number, number];
    const readers = this.#readers.get(product.outputs[0]!) ?? [];
    const sum = readers[0];
    if ((rows > 1 && rows < manyRows) || readers.length !== 1 || sum?.operation !== 'add') return undefined;
    const other = sum.inputs.find((input) => input.node !== product);
    if (!other || (!sameShape(other.shape, [rows, columns]) && !sameShape(other.shape, [columns]))) return undefined;
    // of two products the first of the sum stands alone
    return other === sum.inputs[1] && other.node?.operation === 'matmul' && this.#sumOf(other.node) ? undefined : sum;
  }

  /** a·b + c at once. */
  #lowerProductSum(sum: Node): boolean {
    const product = sum.inputs.find(({ node }) => node?.operation === 'matmul' && this.#sumOf(node) === sum);
    if (!product) return false;
    const { inputs, attributes } = product.node!;
    const names = [...inputs, sum.inputs.find((input) => input !== product)!].map((input) => this.names.get(input)!);
    const transposes = { transA: { int: Number(attributes.transposeA) }, transB: { int: Number(attributes.transposeB) } };
    this.#done.add(product.node!);
    this.#bind(sum, [this.model.node('Gemm', names, transposes)]);
    return true;
  }

  /** A head together with its gradient, if the loss between them is computed row by row. */
  #lowerWithGradient(head: Node): boolean {
    const { graph, model, names } = this;
    const gradient = graph.nodes.find(
      ({ operation, inputs }) => operation === 'headLogProbabilityGradient' && inputs[5] === head.outputs[2],
    );
    if (!gradient?.outputs.some((output) => this.live.has(output))) return false;
    const [logProbabilities, entropies] = head.outputs as [Tensor, Tensor];
    const [toLogProbabilities, toEntropies] = gradient.inputs.slice(7) as [Tensor, Tensor];
    const loss = new RowByRow(graph, [logProbabilities, entropies]);
    if (!loss.reaches(toLogProbabilities) || !loss.reaches(toEntropies)) return false;
    const count = logProbabilities.shape[0]!;
    const { outputs, gradients } = headWithGradient(this.#lowering(head), gradient, this.#used(gradient), (start, end, found) => {
      const known = new Map([
        [logProbabilities, found.logProbabilities],
        [entropies, found.entropies],
      ]);
      const outside = (tensor: Tensor): Name => {
        if (tensor.node) this.#lowerUpTo(tensor.node);
        const whole = names.get(tensor)!;
        return tensor.shape.length === 0 ? whole : sliceRows(model, whole, start, end, count);
      };
      const rows = (target: Tensor) =>
        loss.rows(target, known, outside, (node, inputs) => kernelOf(node)(this.#lowering(node, inputs))[0]!);
      return { toLogProbabilities: rows(toLogProbabilities), toEntropies: rows(toEntropies) };
    });
    this.#bind(head, outputs);
    this.#bind(gradient, gradients);
    return true;
  }

  /**
   * Attention of one new token a row together with the appends of its keys and values to the caches that it reads, by the runtime's operator,
   * which takes heads of a multiple of eight.
   */
  #lowerWithAppends(node: Node): boolean {
    const [, keys, values, cachedKeys, cachedValues, lengths, rows] = node.inputs;
    const appendOf = (value: Tensor | undefined, cache: Tensor | undefined) =>
      this.graph.appends.find(
        (append) => append.value === value && append.offsets === lengths && !append.rows && this.graph.buffers.get(append.buffer) === cache,
      );
    const appends = [appendOf(keys, cachedKeys), appendOf(values, cachedValues)] as const;
    const { batch, heads, headSize, length, capacity } = node.attributes as Record<string, number>;
    if (rows || length !== 1 || capacity === 1 || batch! * heads! * headSize! * capacity! > smallCache || headSize! % 8 !== 0) return false;
    // whoever else read the caches would find the new entries in them
    const isOnlyReader = [cachedKeys, cachedValues].every((cache) => this.#readers.get(cache!)?.length === 1);
    if (!appends[0] || !appends[1] || !isOnlyReader) return false;
    const { output, caches } = decodingAttention(this.#lowering(node), this.#rotationOf(node));
    this.appended.set(appends[0], caches[0]).set(appends[1], caches[1]);
    this.#bind(node, [output]);
    return true;
  }

  /** How queries and keys of attention were turned, if it was by their places in the cache. */
  #rotationOf({ inputs: [queries, keys, , , , lengths], attributes: { heads, kvHeads, headSize } }: Node): Rotation | undefined {
    // the operator takes less for rotation than for attention
    if ((headSize as number) % 16 !== 0) return undefined;
    const [turned, alike] = [queries!.node, keys!.node];
    const angles = turned?.inputs[1]?.node;
    const isTurned = (node: Node | undefined, count: unknown): node is Node =>
      node?.operation === 'rotary' &&
      !node.attributes.inverse &&
      node.attributes.heads === count &&
      node.inputs[1] === angles?.outputs[0] &&
      node.inputs[2] === angles?.outputs[1];
    if (angles?.operation !== 'rotaryAngles' || angles.attributes.headSize !== headSize || angles.inputs[0] !== lengths) return undefined;
    if (!isTurned(turned, heads) || !isTurned(alike, kvHeads)) return undefined;
    const nameOf = (tensor: Tensor | undefined) => this.names.get(tensor!)!;
    return {
      queries: nameOf(turned.inputs[0]),
      keys: nameOf(alike.inputs[0]),
      theta: angles.attributes.theta as number,
    };
  }

  /** A node, and before it those whose results it reads. */
  #lowerUpTo(node: Node): void {
    if (this.#done.has(node)) return;
    for (const input of node.inputs) if (input.node) this.#lowerUpTo(input.node);
    this.lower(node);
  }
}
