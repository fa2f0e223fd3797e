import { setImmediate } from 'node:timers/promises';
import type { Graph, Node, Tensor } from '../../tensor/index';
import { headWithGradient } from './head';
import { type Kernel, type Lowering, sliceRows } from './kernel';
import { kernels } from './kernels';
import { type Name, OnnxModel } from './onnx';
import { RowByRow } from './row-by-row';

/** An ONNX model and how a run maps onto it. Plain data: it crosses into the worker thread. */
export interface LoweredGraph {
  readonly model: Uint8Array;
  /** ONNX input name of each graph input and buffer that is really read. */
  readonly inputs: Readonly<Record<string, Name>>;
  readonly buffers: Readonly<Record<string, Name>>;
  readonly outputs: Readonly<Record<string, Name>>;
  readonly assignments: Readonly<Record<string, Name>>;
  readonly appends: readonly { readonly buffer: string; readonly value: Name; readonly offsets: string; readonly counts: string }[];
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

/** Milliseconds after which others get their turn: a training step of a large model takes a quarter of a second to translate. */
const longestTurn = 5;

/**
 * Translates a graph to one ONNX model. Nodes that no output, assignment or append depends on are left out. Returns to the event loop again
 * and again while it works.
 */
export async function lowerGraph(graph: Graph): Promise<LoweredGraph> {
  const live = liveTensors(graph);
  const model = new OnnxModel();
  const names = new Map<Tensor, Name>();
  const shapes: Record<string, readonly number[]> = {};

  const declare = (tensors: ReadonlyMap<string, Tensor>, prefix: string): Record<string, Name> => {
    const declared: Record<string, Name> = {};
    for (const [name, tensor] of tensors) {
      shapes[name] = tensor.shape;
      if (!live.has(tensor)) continue;
      const onnxName = `${prefix}${tensor.id}`;
      model.input(onnxName, tensor.type, tensor.shape);
      names.set(tensor, onnxName);
      declared[name] = onnxName;
    }
    return declared;
  };
  const inputs = declare(graph.inputs, 'i');
  const buffers = declare(graph.buffers, 'b');
  for (const [tensor, data] of graph.constants) if (live.has(tensor)) names.set(tensor, model.constant(tensor.type, tensor.shape, data));

  const lowering = new NodeLowering(graph, model, names, live);
  let began = performance.now();
  for (const node of graph.nodes) {
    if (performance.now() - began > longestTurn) {
      await setImmediate();
      began = performance.now();
    }
    lowering.lower(node);
  }

  let count = 0;
  const results = new Map<Tensor, Name>();
  const result = (tensor: Tensor): Name => {
    let name = results.get(tensor);
    if (!name) {
      name = `o${count++}`;
      model.bind('Identity', [names.get(tensor)!], [name]);
      model.output(name, tensor.type, tensor.shape);
      results.set(tensor, name);
      shapes[name] = tensor.shape;
    }
    return name;
  };
  const named = (tensors: ReadonlyMap<string, Tensor>) => Object.fromEntries([...tensors].map(([name, tensor]) => [name, result(tensor)]));
  const inputName = (tensor: Tensor) => [...graph.inputs].find(([, candidate]) => candidate === tensor)![0];
  const outputs = named(graph.outputs);
  const assignments = named(graph.assignments);
  const appends = graph.appends.map(({ buffer, value, offsets, counts }) => ({
    buffer,
    value: result(value),
    offsets: inputName(offsets),
    counts: inputName(counts),
  }));
  return { model: model.finish(), inputs, buffers, outputs, assignments, appends, shapes };
}

const kernelOf = (node: Node): Kernel => kernels[node.operation];

/** Writes nodes with what they need, each once. */
class NodeLowering {
  readonly #shared = new Map<string, Name>();
  readonly #done = new Set<Node>();

  constructor(
    readonly graph: Graph,
    readonly model: OnnxModel,
    readonly names: Map<Tensor, Name>,
    readonly live: ReadonlySet<Tensor>,
  ) {}

  lower(node: Node): void {
    if (this.#done.has(node) || !node.outputs.some((output) => this.live.has(output))) return;
    if (node.operation === 'headLogProbability' && this.#lowerWithGradient(node)) return;
    this.#bind(node, kernelOf(node)(this.#lowering(node)));
  }

  #lowering(node: Node, inputs: readonly Name[] = node.inputs.map((input) => this.names.get(input) ?? '')): Lowering {
    const shared = (key: string, build: () => Name) => {
      let name = this.#shared.get(key);
      if (!name) {
        name = build();
        this.#shared.set(key, name);
      }
      return name;
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

  /** A node, and before it those whose results it reads. */
  #lowerUpTo(node: Node): void {
    if (this.#done.has(node)) return;
    for (const input of node.inputs) if (input.node) this.#lowerUpTo(input.node);
    this.lower(node);
  }
}

function liveTensors(graph: Graph): Set<Tensor> {
  const live = new Set<Tensor>([...graph.outputs.values(), ...graph.assignments.values(), ...graph.appends.map((append) => append.value)]);
  for (const node of [...graph.nodes].reverse()) {
    if (node.outputs.some((output) => live.has(output))) for (const input of node.inputs) live.add(input);
  }
  return live;
}
