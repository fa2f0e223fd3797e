import { RlpaError } from '../errors';
import { TimeSlice } from '../time-slice';
import type { Graph, Node, Tensor } from './graph';
import { add } from './ops/add';
import { after } from './ops/after';
import { gradientRules } from './ops/rules';
import { expectShape, sameShape } from './shape';

/** dL/d(inputs) of a node, given dL/d(outputs); undefined where nothing flows. */
export type GradientRule = (node: Node, outputGradients: readonly (Tensor | undefined)[]) => readonly (Tensor | undefined)[];

/**
 * Reverse-mode differentiation: adds to the graph the nodes that compute the gradient of a scalar with respect to `targets`.
 * Only the nodes on a path from a target to the loss get a backward counterpart, so frozen weights cost nothing. Returns to the event loop
 * again and again while it works.
 *
 * @param segmentOf gradient checkpointing (Chen et al. 2016): the results of the nodes of a segment are not kept, but computed again from
 * its inputs when the backward pass gets there. Undefined for nodes whose results are kept.
 * @returns one tensor for each target, of its shape; undefined where the loss does not depend on it.
 */
export async function gradients(
  loss: Tensor,
  targets: readonly Tensor[],
  segmentOf: (node: Node) => string | undefined = () => undefined,
): Promise<(Tensor | undefined)[]> {
  const graph: Graph = loss.graph;
  expectShape('gradients', 'the loss', loss.shape, []);
  const needed = new Set<Tensor>(targets);
  const forward = [...graph.nodes];
  for (const node of forward) {
    if (node.inputs.some((input) => needed.has(input))) for (const output of node.outputs) needed.add(output);
  }
  const flowing = new Map<Tensor, Tensor>([[loss, graph.scalar(1)]]);
  const again = new Map<Node, Node>();
  const segments = segmentsOf(forward, segmentOf);
  const slice = new TimeSlice();
  for (const node of forward.reverse()) {
    if (slice.isOver) await slice.next();
    if (!node.outputs.some((output) => flowing.has(output)) || !node.inputs.some((input) => needed.has(input))) continue;
    const rule = gradientRules[node.operation];
    if (!rule)
      throw new RlpaError('invalid-graph', `${node.operation} has no gradient (at ${node.scope || 'top level'}).`, {
        operation: node.operation,
      });
    const outputGradients = node.outputs.map((output) => flowing.get(output));
    const segment = segments.get(node);
    if (segment && !again.has(node)) computeAgain(graph, segment, outputGradients.find((gradient) => gradient !== undefined)!, again);
    const inputGradients = graph.within(`${node.scope}.gradient`, () => rule(again.get(node) ?? node, outputGradients));
    node.inputs.forEach((input, index) => {
      const gradient = inputGradients[index];
      if (!gradient || !needed.has(input)) return;
      expectShape(node.operation, `the gradient of input ${index}`, gradient.shape, input.shape);
      const sofar = flowing.get(input);
      flowing.set(input, sofar ? add(sofar, gradient) : gradient);
    });
  }
  return targets.map((target) => flowing.get(target));
}

/** Of each node in a segment, all nodes of that segment in their order. */
function segmentsOf(nodes: readonly Node[], segmentOf: (node: Node) => string | undefined): Map<Node, readonly Node[]> {
  const byName = new Map<string, Node[]>();
  const segments = new Map<Node, readonly Node[]>();
  for (const node of nodes) {
    const name = segmentOf(node);
    if (name === undefined) continue;
    const segment = byName.get(name) ?? [];
    byName.set(name, segment);
    segment.push(node);
    segments.set(node, segment);
  }
  return segments;
}

/** Copies the nodes of a segment, to run when `trigger` is known: until then none of their results take memory. */
function computeAgain(graph: Graph, segment: readonly Node[], trigger: Tensor, again: Map<Node, Node>): void {
  const copies = new Map<Tensor, Tensor>();
  const own = new Set(segment.flatMap(({ outputs }) => outputs));
  for (const node of segment) {
    const inputs = node.inputs.map((input) => {
      if (own.has(input)) return copies.get(input)!;
      // what waits is the activations that come in, which have the trigger's shape; weights are there anyway
      if (input.node === undefined || !sameShape(input.shape, trigger.shape)) return input;
      if (!copies.has(input)) copies.set(input, after(input, trigger));
      return copies.get(input)!;
    });
    const outputs = graph.within(`${node.scope}.again`, () => graph.apply(node.operation, inputs, node.attributes, node.outputs));
    for (const [index, output] of node.outputs.entries()) copies.set(output, outputs[index]!);
    again.set(node, { ...node, inputs, outputs });
  }
}
