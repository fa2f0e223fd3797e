import { RlpaError } from '../errors';
import type { Graph, Node, Tensor } from './graph';
import { add } from './ops/add';
import { gradientRules } from './ops/rules';
import { expectShape } from './shape';

/** dL/d(inputs) of a node, given dL/d(outputs); undefined where nothing flows. */
export type GradientRule = (node: Node, outputGradients: readonly (Tensor | undefined)[]) => readonly (Tensor | undefined)[];

/**
 * Reverse-mode differentiation: adds to the graph the nodes that compute the gradient of a scalar with respect to `targets`.
 * Only the nodes on a path from a target to the loss get a backward counterpart, so frozen weights cost nothing.
 *
 * @returns one tensor for each target, of its shape; undefined where the loss does not depend on it.
 */
export function gradients(loss: Tensor, targets: readonly Tensor[]): (Tensor | undefined)[] {
  const graph: Graph = loss.graph;
  expectShape('gradients', 'the loss', loss.shape, []);
  const needed = new Set<Tensor>(targets);
  const forward = [...graph.nodes];
  for (const node of forward) {
    if (node.inputs.some((input) => needed.has(input))) for (const output of node.outputs) needed.add(output);
  }
  const flowing = new Map<Tensor, Tensor>([[loss, graph.scalar(1)]]);
  for (const node of forward.reverse()) {
    if (!node.outputs.some((output) => flowing.has(output)) || !node.inputs.some((input) => needed.has(input))) continue;
    const rule = gradientRules[node.operation];
    if (!rule)
      throw new RlpaError('invalid-graph', `${node.operation} has no gradient (at ${node.scope || 'top level'}).`, {
        operation: node.operation,
      });
    const inputGradients = graph.within(`${node.scope}.gradient`, () =>
      rule(
        node,
        node.outputs.map((output) => flowing.get(output)),
      ),
    );
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
