import type { Graph, Node, Tensor } from '../../tensor/index';
import { sizeOf } from '../../tensor/index';
import { isElementwise } from '../kernels/index';
import { type FusionPlan, type Product, planFusion, root } from './fusion';

/** Nodes that are launched together, and what they read and make, sums and biases included. */
export interface Emission {
  readonly nodes: readonly Node[];
  readonly reads: readonly Tensor[];
  readonly product?: Product & { readonly result: Tensor };
  /** A sum over the rows of a product's first factor that is computed along: the gradient of a bias. */
  readonly rowSums?: Node;
}

export interface Schedule {
  readonly emissions: readonly Emission[];
  readonly plan: FusionPlan;
  /** The last emission that reads a tensor; Infinity for what has to be there at the end. */
  readonly lastRead: ReadonlyMap<Tensor, number>;
}

/** Puts the nodes of a graph in the order in which they are launched, with those together that take one launch. */
export function schedule(graph: Graph, storageBuffers: number): Schedule {
  const plan = planFusion(graph);
  const kept = new Set([...graph.outputs.values(), ...graph.assignments.values()].map(root));
  const readsOf = (node: Node): Tensor[] => {
    const product = plan.products.get(node);
    const ends = product ? [product.result] : node.outputs;
    const addends = ends.flatMap((end) => plan.sums.get(end)?.addend ?? []);
    return [...node.inputs, ...(product?.bias ? [product.bias] : []), ...addends].map(root);
  };
  const emissions: Emission[] = [];
  const done = new Set<Node>();
  const nodes = [...plan.nodes];
  const readers = new Map<Tensor, number[]>();
  nodes.forEach((node, index) => {
    for (const tensor of readsOf(node)) readers.set(tensor, [...(readers.get(tensor) ?? []), index]);
  });
  const placeOf = new Map(
    nodes.flatMap((node, index) => {
      const product = plan.products.get(node);
      return (product ? [product.result] : node.outputs).map((end) => [plan.sums.get(end)?.result ?? end, index] as const);
    }),
  );

  let chain: Node[] = [];
  const flush = () => {
    if (chain.length > 0) emissions.push({ nodes: chain, reads: outsideReads(chain) });
    chain = [];
  };
  for (const [index, node] of nodes.entries()) {
    if (done.has(node)) continue;
    if (isElementwise(node.operation)) {
      if (chain.length > 0 && !canJoin(chain, node, readers, kept, nodes, storageBuffers)) flush();
      chain.push(node);
      continue;
    }
    flush();
    if (node.operation === 'rotary') {
      const partner = rotaryPartner(nodes, index, readers, placeOf);
      if (partner) {
        done.add(node);
        // both now if the second's input is there, otherwise both with the second
        if (partner.when === 'now') done.add(partner.node);
        else continue;
        emissions.push({ nodes: [node, partner.node], reads: [...readsOf(node), ...readsOf(partner.node)] });
        continue;
      }
      const first = nodes.slice(0, index).findLast((other) => other.operation === 'rotary' && done.has(other) && waitsFor(other, node));
      if (first && !emissions.some(({ nodes: launched }) => launched.includes(first))) {
        emissions.push({ nodes: [first, node], reads: [...readsOf(first), ...readsOf(node)] });
        continue;
      }
    }
    const rowSums =
      node.operation === 'matmul' && node.attributes.transposeA ? pendingSum(node, emissions, readers, index, plan) : undefined;
    if (rowSums)
      emissions.splice(
        emissions.findIndex(({ nodes: [only] }) => only === rowSums),
        1,
      );
    const reads = rowSums ? [...readsOf(node), ...readsOf(rowSums)] : readsOf(node);
    emissions.push({ nodes: [node], reads, product: plan.products.get(node), rowSums });
  }
  flush();

  const lastRead = new Map<Tensor, number>();
  emissions.forEach(({ reads }, index) => {
    for (const tensor of reads) lastRead.set(tensor, index);
  });
  for (const { value } of graph.appends) lastRead.set(root(value), Number.POSITIVE_INFINITY);
  for (const tensor of kept) lastRead.set(tensor, Number.POSITIVE_INFINITY);
  return { emissions, plan, lastRead };
}

const waitsFor = (a: Node, b: Node) =>
  a.inputs[1] === b.inputs[1] && a.inputs[2] === b.inputs[2] && a.attributes.inverse === b.attributes.inverse;

/** The rotation of the keys that can be launched together with that of the queries: without changing what anything reads. */
function rotaryPartner(
  nodes: readonly Node[],
  index: number,
  readers: ReadonlyMap<Tensor, readonly number[]>,
  placeOf: ReadonlyMap<Tensor, number>,
): { readonly node: Node; readonly when: 'now' | 'then' } | undefined {
  const node = nodes[index]!;
  for (let other = index + 1; other < Math.min(nodes.length, index + 10); other++) {
    const candidate = nodes[other]!;
    if (candidate.operation !== 'rotary') continue;
    if (!waitsFor(node, candidate)) return undefined;
    if (placeOf.get(root(candidate.inputs[0]!))! < index) return { node: candidate, when: 'now' };
    const needed = Math.min(...(readers.get(node.outputs[0]!) ?? [Number.POSITIVE_INFINITY]));
    return needed > other ? { node: candidate, when: 'then' } : undefined;
  }
  return undefined;
}

/** A sum over rows that was just scheduled and that this product's first factor gives along. */
function pendingSum(
  node: Node,
  emissions: readonly Emission[],
  readers: ReadonlyMap<Tensor, readonly number[]>,
  index: number,
  plan: FusionPlan,
): Node | undefined {
  for (const { nodes } of emissions.slice(-4)) {
    const [sum] = nodes as [Node];
    if (sum.operation !== 'sumRows' || root(sum.inputs[0]!) !== root(node.inputs[0]!)) continue;
    const { addend, result } = plan.sums.get(sum.outputs[0]!) ?? { addend: undefined, result: sum.outputs[0]! };
    // what it is added to has to be the buffer that takes the sum: one kernel has no binding to spare
    if (addend?.node || (readers.get(result) ?? []).some((reader) => reader < index)) continue;
    return sum;
  }
  return undefined;
}

function outsideReads(chain: readonly Node[]): Tensor[] {
  const own = new Set(chain.flatMap(({ outputs }) => outputs));
  return [...new Set(chain.flatMap(({ inputs }) => inputs).map(root))].filter((tensor) => !own.has(tensor));
}

/** The outputs of a chain that anything else reads. */
export function chainOutputs(chain: readonly Node[], isReadOutside: (tensor: Tensor) => boolean): Tensor[] {
  return chain.map(({ outputs }) => outputs[0]!).filter(isReadOutside);
}

function canJoin(
  chain: readonly Node[],
  node: Node,
  readers: ReadonlyMap<Tensor, readonly number[]>,
  kept: ReadonlySet<Tensor>,
  nodes: readonly Node[],
  storageBuffers: number,
): boolean {
  const all = [...chain, node];
  const own = new Set(chain.flatMap(({ outputs }) => outputs));
  const size = (tensor: Tensor) => sizeOf(tensor.shape);
  const counts = new Set(all.map(({ outputs }) => size(outputs[0]!)).filter((count) => count > 1));
  if (counts.size > 1) return false;
  for (const input of node.inputs) {
    // what the chain makes is at hand for the same element only
    if (own.has(root(input)) && size(input) !== size(node.outputs[0]!) && size(input) !== 1) return false;
  }
  const widths = new Set(all.flatMap(columnInputs));
  if (widths.size > 1) return false;
  const members = new Set(all);
  const readOutside = (tensor: Tensor) => kept.has(tensor) || (readers.get(tensor) ?? []).some((reader) => !members.has(nodes[reader]!));
  return outsideReads(all).filter((tensor) => !isScalarConstant(tensor)).length + chainOutputs(all, readOutside).length <= storageBuffers;
}

/** Widths of the inputs that repeat along rows. */
export function columnInputs({ inputs, outputs: [result] }: Node): number[] {
  return inputs.map(({ shape }) => sizeOf(shape)).filter((count) => count !== 1 && count !== sizeOf(result!.shape));
}

export const isScalarConstant = (tensor: Tensor) => sizeOf(tensor.shape) === 1 && tensor.graph.constants.has(tensor);
