import type { Graph, Node, OperationName, Tensor } from '../../tensor/index';
import type { Name } from './onnx';

/** Operations of which each entry of a vector depends on the same entry of others only. */
const entrywise: ReadonlySet<OperationName> = new Set([
  'add',
  'subtract',
  'multiply',
  'minimum',
  'maximum',
  'exponential',
  'greaterOrEqual',
  'scale',
]);

/**
 * How vectors [M] follow from others [M], where they do so entry by entry: what a range of their rows is can be computed from that range alone.
 * Vectors that do not depend on `sources` are known as a whole.
 */
export class RowByRow {
  readonly #dependent: Set<Tensor>;

  constructor(
    graph: Graph,
    readonly sources: readonly Tensor[],
  ) {
    this.#dependent = new Set(sources);
    for (const { inputs, outputs } of graph.nodes) {
      if (inputs.some((input) => this.#dependent.has(input))) for (const output of outputs) this.#dependent.add(output);
    }
  }

  /** Whether the way from the sources to this vector can be gone row by row. */
  reaches(target: Tensor): boolean {
    if (!this.#dependent.has(target) || this.sources.includes(target)) return true;
    const { node } = target;
    return node !== undefined && entrywise.has(node.operation) && node.inputs.every((input) => this.reaches(input));
  }

  /**
   * Some rows of a vector.
   *
   * @param known the same rows of the sources; those of other vectors are added to it
   * @param outside what to read of a vector that depends on no source
   */
  rows(
    target: Tensor,
    known: Map<Tensor, Name>,
    outside: (tensor: Tensor) => Name,
    lower: (node: Node, inputs: readonly Name[]) => Name,
  ): Name {
    const found = known.get(target);
    if (found !== undefined) return found;
    const node = target.node!;
    const name = this.#dependent.has(target)
      ? lower(
          node,
          node.inputs.map((input) => this.rows(input, known, outside, lower)),
        )
      : outside(target);
    known.set(target, name);
    return name;
  }
}
