import { type ElementType, type Graph, type Node, type Shape, sizeOf, type Tensor } from '../../tensor/index';
import { TimeSlice } from '../../time-slice';
import { NodeLowering, resultsOf } from './node-lowering';
import { type Name, OnnxModel } from './onnx';

/** Something that a program reads or writes: its name in the graph, its name in the model, and what it is. */
export interface Port {
  readonly name: string;
  readonly onnxName: Name;
  readonly shape: Shape;
  readonly type: ElementType;
}

/** An ONNX model and how a run maps onto it. Plain data: it crosses into the worker thread. */
export interface LoweredGraph {
  readonly model: Uint8Array;
  /** Whether it gains by several threads. */
  readonly parallel: boolean;
  /** The graph inputs and buffers that are really read. */
  readonly inputs: readonly Port[];
  readonly buffers: readonly Port[];
  readonly outputs: readonly Port[];
  /** By the name of the buffer. */
  readonly assignments: readonly Port[];
  readonly appends: readonly {
    readonly buffer: string;
    /** The buffer's. */
    readonly cache: Shape;
    readonly value: Port;
    readonly offsets: string;
    readonly counts: string;
    readonly rows?: string;
  }[];
  /** Caches that the model itself appends an entry a row to, in their own memory: what it writes is what it read. */
  readonly inPlace: readonly (Port & { readonly offsets: string })[];
}

/**
 * Translates a graph to one ONNX model. Nodes that no output, assignment or append depends on are left out. Returns to the event loop again
 * and again while it works.
 */
export async function lowerGraph(graph: Graph): Promise<LoweredGraph> {
  const live = liveTensors(graph);
  const model = new OnnxModel();
  const names = new Map<Tensor, Name>();

  const slice = new TimeSlice();
  const declare = async (tensors: ReadonlyMap<string, Tensor>, prefix: string): Promise<Port[]> => {
    const declared: Port[] = [];
    for (const [name, tensor] of tensors) {
      if (slice.isOver) await slice.next();
      if (!live.has(tensor)) continue;
      const { shape, type } = tensor;
      const onnxName = `${prefix}${tensor.id}`;
      model.input(onnxName, type, shape);
      names.set(tensor, onnxName);
      declared.push({ name, onnxName, shape, type });
    }
    return declared;
  };
  const inputs = await declare(graph.inputs, 'i');
  const buffers = await declare(graph.buffers, 'b');
  for (const [tensor, data] of graph.constants) if (live.has(tensor)) names.set(tensor, model.constant(tensor.type, tensor.shape, data));

  const lowering = new NodeLowering(graph, model, names, live);
  for (const node of graph.nodes) {
    if (slice.isOver) await slice.next();
    lowering.lower(node);
  }

  const written = (name: string, { shape, type }: Tensor, value: Name): Port => {
    const onnxName = model.distinct(value);
    model.output(onnxName, type, shape);
    return { name, onnxName, shape, type };
  };
  const results = (tensors: ReadonlyMap<string, Tensor>) =>
    Array.from(tensors, ([name, tensor]) => written(name, tensor, names.get(tensor)!));
  const inputName = (tensor: Tensor) => [...graph.inputs].find(([, candidate]) => candidate === tensor)![0];
  const outputs = results(graph.outputs);
  const assignments = results(graph.assignments);
  const inPlace = graph.appends
    .filter((append) => lowering.appended.has(append))
    .map((append) => ({
      ...written(append.buffer, graph.buffers.get(append.buffer)!, lowering.appended.get(append)!),
      offsets: inputName(append.offsets),
    }));
  const appends = graph.appends
    .filter((append) => !lowering.appended.has(append))
    .map(({ buffer, value, offsets, counts, rows }) => ({
      buffer,
      cache: graph.buffers.get(buffer)!.shape,
      value: written(buffer, value, names.get(value)!),
      offsets: inputName(offsets),
      counts: inputName(counts),
      ...(rows && { rows: inputName(rows) }),
    }));
  await slice.next();
  return {
    model: model.finish(),
    parallel: isParallel(graph.nodes.filter((node) => node.outputs.some((output) => live.has(output)))),
    inputs,
    buffers,
    outputs,
    assignments,
    appends,
    inPlace,
  };
}

/** Floating-point operations of a matrix product below which it takes less time than to wake the threads that would share it. */
const smallProduct = 5e6;

/** Whether the matrix products that a program spends its time in, if it has any, are worth several threads. */
function isParallel(nodes: readonly Node[]): boolean {
  let [operations, weighted] = [0, 0];
  for (const { operation, inputs, outputs } of nodes) {
    const [x, weight] = inputs;
    let product = 0;
    if (operation === 'matmul') product = (2 * sizeOf(outputs[0]!.shape) * sizeOf(x!.shape)) / outputs[0]!.shape[0]!;
    if (operation === 'sampleHead' || operation === 'headLogProbability') product = 2 * x!.shape[0]! * sizeOf(weight!.shape);
    operations += product;
    weighted += product * product;
  }
  return operations === 0 || weighted / operations >= smallProduct;
}

function liveTensors(graph: Graph): Set<Tensor> {
  const live = new Set(resultsOf(graph));
  for (const node of [...graph.nodes].reverse()) {
    if (node.outputs.some((output) => live.has(output))) for (const input of node.inputs) live.add(input);
  }
  return live;
}
