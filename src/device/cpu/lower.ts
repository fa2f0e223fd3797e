import type { Graph, Tensor } from '../../tensor/index';
import { Turn } from '../../turn';
import { NodeLowering, resultsOf } from './node-lowering';
import { type Name, OnnxModel } from './onnx';

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

/**
 * Translates a graph to one ONNX model. Nodes that no output, assignment or append depends on are left out. Returns to the event loop again
 * and again while it works.
 */
export async function lowerGraph(graph: Graph): Promise<LoweredGraph> {
  const live = liveTensors(graph);
  const model = new OnnxModel();
  const names = new Map<Tensor, Name>();
  const shapes: Record<string, readonly number[]> = {};

  const turn = new Turn();
  const declare = async (tensors: ReadonlyMap<string, Tensor>, prefix: string): Promise<Record<string, Name>> => {
    const declared: Record<string, Name> = {};
    for (const [name, tensor] of tensors) {
      if (turn.isOver) await turn.next();
      shapes[name] = tensor.shape;
      if (!live.has(tensor)) continue;
      const onnxName = `${prefix}${tensor.id}`;
      model.input(onnxName, tensor.type, tensor.shape);
      names.set(tensor, onnxName);
      declared[name] = onnxName;
    }
    return declared;
  };
  const inputs = await declare(graph.inputs, 'i');
  const buffers = await declare(graph.buffers, 'b');
  for (const [tensor, data] of graph.constants) if (live.has(tensor)) names.set(tensor, model.constant(tensor.type, tensor.shape, data));

  const lowering = new NodeLowering(graph, model, names, live);
  for (const node of graph.nodes) {
    if (turn.isOver) await turn.next();
    lowering.lower(node);
  }

  const results = new Map<Tensor, Name>();
  const result = (tensor: Tensor): Name => {
    let name = results.get(tensor);
    if (!name) {
      name = model.distinct(names.get(tensor)!);
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
  await turn.next();
  return { model: model.finish(), inputs, buffers, outputs, assignments, appends, shapes };
}

function liveTensors(graph: Graph): Set<Tensor> {
  const live = new Set(resultsOf(graph));
  for (const node of [...graph.nodes].reverse()) {
    if (node.outputs.some((output) => live.has(output))) for (const input of node.inputs) live.add(input);
  }
  return live;
}
