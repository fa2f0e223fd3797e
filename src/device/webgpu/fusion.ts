import type { Graph, Node, OperationName, Tensor } from '../../tensor/index';

/** A matrix product with what follows it at once: y = alpha · a·b + bias. */
export interface Product {
  readonly node: Node;
  alpha: number;
  bias?: Tensor;
}

/** What a node adds to its result, and what the sum is. */
export interface Sum {
  readonly addend: Tensor | undefined;
  readonly result: Tensor;
  /** What comes out when all terms are added. */
  readonly total: Tensor;
}

/** What of a graph is computed together, so that sums, scalings and biases take no pass of their own over memory. */
export interface FusionPlan {
  /** Nodes whose results are needed, in order, without those that others do along. */
  readonly nodes: readonly Node[];
  /** By the last tensor that a product makes. */
  readonly products: ReadonlyMap<Node, Product & { readonly result: Tensor }>;
  /** By the tensor that is added to something. */
  readonly sums: ReadonlyMap<Tensor, Sum>;
}

/** What launches nothing: reshaping and waiting make no copies. */
export type View = 'reshape' | 'after';

export const isView = (operation: OperationName): operation is View => operation === 'reshape' || operation === 'after';

/** The tensor whose memory this one is. */
export function root(tensor: Tensor): Tensor {
  let found = tensor;
  while (found.node && isView(found.node.operation)) found = found.node.inputs[0]!;
  return found;
}

/** Whether a kernel can add this result to another tensor while it writes it. */
function accumulates(tensor: Tensor): boolean {
  switch (tensor.node?.operation) {
    case 'sumRows':
    case 'scatterAdd':
    case 'rmsNormGradient':
      return true;
    case 'headLogProbabilityGradient':
      return tensor === tensor.node.outputs[1];
    default:
      return false;
  }
}

const sameSize = (a: Tensor, b: Tensor) => a.shape.length === b.shape.length && a.shape.every((size, axis) => size === b.shape[axis]);

export function planFusion(graph: Graph): FusionPlan {
  const kept = new Set([...graph.outputs.values(), ...graph.assignments.values(), ...graph.appends.map(({ value }) => value)]);
  const live = liveNodes(graph, kept);
  const position = new Map(live.map((node, index) => [node, index]));
  const uses = new Map<Tensor, number>();
  for (const node of live) for (const input of node.inputs) uses.set(input, (uses.get(input) ?? 0) + 1);
  const usedOnce = (tensor: Tensor) => uses.get(tensor) === 1 && !kept.has(tensor);

  const absorbed = new Set<Node>();
  const products = new Map<Tensor, Product>();
  for (const node of live) {
    const [result] = node.outputs as [Tensor];
    const follow = (input: Tensor, change: (product: Product) => void) => {
      const product = products.get(input)!;
      change(product);
      products.delete(input);
      products.set(result, product);
      absorbed.add(node);
    };
    if (node.operation === 'matmul') products.set(result, { node, alpha: 1 });
    else if (node.operation === 'scale') {
      const input = node.inputs[0]!;
      const factor = node.attributes.factor as number;
      if (usedOnce(input) && products.has(input) && !products.get(input)!.bias) {
        follow(input, (product) => {
          product.alpha *= factor;
        });
      }
    } else if (node.operation === 'add') {
      for (const [input, other] of [node.inputs, [...node.inputs].reverse()] as [Tensor, Tensor][]) {
        if (!products.has(input) || !usedOnce(input) || products.get(input)!.bias) continue;
        if (input.shape.length !== 2 || other.shape.length !== 1 || other.shape[0] !== input.shape[1] || other.node) continue;
        follow(input, (product) => {
          product.bias = other;
        });
        break;
      }
    }
  }

  const sums = new Map<Tensor, Sum>();
  /** Where a tensor is there: a sum is complete with the last of its terms. */
  const there = new Map<Tensor, number>();
  const positionOf = (tensor: Tensor): number => {
    const own = root(tensor);
    return there.get(own) ?? (own.node ? position.get(products.get(own)?.node ?? own.node)! : -1);
  };
  const isSum = (node: Node | undefined): node is Node =>
    node !== undefined &&
    node.operation === 'add' &&
    !absorbed.has(node) &&
    node.inputs.every((input) => sameSize(input, node.outputs[0]!));
  const inner = new Set<Node>();
  for (const node of live) {
    if (isSum(node)) for (const { node: term } of node.inputs) if (isSum(term) && usedOnce(term.outputs[0]!)) inner.add(term);
  }
  const fuse = (node: Node): void => {
    const terms: Tensor[] = [];
    const tree: Node[] = [];
    const collect = (sum: Node): void => {
      tree.push(sum);
      for (const term of sum.inputs) inner.has(term.node as Node) ? collect(term.node!) : terms.push(term);
    };
    collect(node);
    const own = terms.filter((term) => usedOnce(term) && (products.has(term) || accumulates(term)));
    const others = terms.filter((term) => !own.includes(term));
    own.sort((a, b) => positionOf(a) - positionOf(b));
    if (own.length === 0 || others.length > 1 || (others[0] && positionOf(others[0]) >= positionOf(own[0]!))) {
      for (const { node: term } of node.inputs) if (inner.has(term as Node)) fuse(term!);
      return;
    }
    let sofar = others[0];
    for (const [index, term] of own.entries()) {
      const total = node.outputs[0]!;
      const result: Tensor = index === own.length - 1 ? total : { id: -1, graph, shape: term.shape, type: 'f32' };
      sums.set(term, { addend: sofar, result, total });
      there.set(result, positionOf(term));
      sofar = result;
    }
    for (const sum of tree) absorbed.add(sum);
  };
  for (const node of live) if (isSum(node) && !inner.has(node)) fuse(node);

  return {
    nodes: live.filter((node) => !absorbed.has(node) && !isView(node.operation)),
    products: new Map([...products].map(([result, product]) => [product.node, { ...product, result }])),
    sums,
  };
}

function liveNodes(graph: Graph, kept: ReadonlySet<Tensor>): Node[] {
  const live = new Set(kept);
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => live.has(output))) continue;
    // an `after` only waits for its second input; nodes run in their order anyway
    for (const input of node.operation === 'after' ? node.inputs.slice(0, 1) : node.inputs) live.add(input);
    nodes.push(node);
  }
  return nodes.reverse();
}
