import { RlpaError } from '../errors';
import type { OperationName } from './operations';
import { type ElementType, type Shape, sameShape, sizeOf } from './shape';

/** A value in a {@link Graph}: what a node computes, or an input. Holds no numbers. */
export interface Tensor {
  readonly id: number;
  readonly graph: Graph;
  readonly shape: Shape;
  readonly type: ElementType;
  /** Absent for inputs, parameters and constants. */
  readonly node?: Node;
}

export type Attributes = Readonly<Record<string, number | boolean | string>>;

/** One operation applied to tensors. */
export interface Node {
  readonly operation: OperationName;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly outputs: readonly Tensor[];
  /** Where in the model it stands, such as `layers.3.attention`: named in errors. */
  readonly scope: string;
}

/** Rows of new keys or values to be written into a cache buffer after a run; see {@link Graph.append}. */
export interface Append {
  /** [rows, heads, capacity, size]: the name of the buffer. */
  readonly buffer: string;
  /** [B, S, heads · size]. */
  readonly value: Tensor;
  /** [B] i32: where each row's first new entry goes. */
  readonly offsets: Tensor;
  /** [B] i32: how many of the S entries count. */
  readonly counts: Tensor;
  /** [B] i32, no two alike: the row of the cache that each of them belongs to. By default the first B. */
  readonly rows?: Tensor;
}

/**
 * A static computation: inputs and buffers in, operations, outputs and buffer updates out. Built once for a set of shapes, compiled by a
 * device, run many times. Nodes are kept in the order of their creation, which is a valid order of execution.
 */
export class Graph {
  readonly nodes: Node[] = [];
  /** Data given with every run. */
  readonly inputs = new Map<string, Tensor>();
  /** Device buffers that the graph reads: weights, optimiser state, caches. */
  readonly buffers = new Map<string, Tensor>();
  readonly constants = new Map<Tensor, Float32Array | Int32Array>();
  /** Results that a run returns. */
  readonly outputs = new Map<string, Tensor>();
  /** Buffer contents replaced after a run. */
  readonly assignments = new Map<string, Tensor>();
  readonly appends: Append[] = [];
  #scope: string[] = [];
  #count = 0;

  input(name: string, shape: Shape, type: ElementType = 'f32'): Tensor {
    return this.#named(this.inputs, name, shape, type);
  }

  /** The content of a device buffer. Asking for the same name again gives the same tensor. */
  buffer(name: string, shape: Shape, type: ElementType = 'f32'): Tensor {
    const known = this.buffers.get(name);
    if (known && sameShape(known.shape, shape) && known.type === type) return known;
    return this.#named(this.buffers, name, shape, type);
  }

  constant(shape: Shape, data: Float32Array | Int32Array): Tensor {
    if (data.length !== sizeOf(shape)) {
      throw new RlpaError('invalid-graph', `A constant of shape [${shape}] needs ${sizeOf(shape)} values, found ${data.length}.`);
    }
    const tensor: Tensor = { id: this.#count++, graph: this, shape, type: data instanceof Float32Array ? 'f32' : 'i32' };
    this.constants.set(tensor, data);
    return tensor;
  }

  scalar(value: number): Tensor {
    return this.constant([], Float32Array.of(value));
  }

  output(name: string, tensor: Tensor): void {
    this.outputs.set(name, tensor);
  }

  /** After a run the buffer holds `tensor`. The run itself reads the old content. */
  assign(buffer: string, tensor: Tensor): void {
    const target = this.buffers.get(buffer);
    if (!target || !sameShape(target.shape, tensor.shape)) {
      throw new RlpaError('invalid-graph', `Buffer ${buffer} [${target?.shape}] can't be assigned a tensor of shape [${tensor.shape}].`);
    }
    this.assignments.set(buffer, tensor);
  }

  /**
   * After a run, entry s of row b of `value` stands at position offsets[b] + s of row rows[b] of the cache, for s < counts[b]. Where S is 1
   * there has to be room for it in every row, whatever its count, and what stands behind a row's new entries is undefined.
   */
  append(append: Append): void {
    this.appends.push(append);
  }

  /** Names the part of the model that `build` adds. */
  within<T>(scope: string, build: () => T): T {
    this.#scope.push(scope);
    try {
      return build();
    } finally {
      this.#scope.pop();
    }
  }

  /** Adds a node. Operations call this; users call operations. */
  apply(
    operation: OperationName,
    inputs: readonly Tensor[],
    attributes: Attributes,
    outputs: readonly { shape: Shape; type?: ElementType }[],
  ): readonly Tensor[] {
    for (const input of inputs) {
      if (input.graph !== this) throw new RlpaError('invalid-graph', `${operation}: an input belongs to another graph.`, { operation });
    }
    const results: Tensor[] = [];
    const node: Node = { operation, inputs, attributes, outputs: results, scope: this.#scope.join('.') };
    for (const { shape, type = 'f32' } of outputs) results.push({ id: this.#count++, graph: this, shape, type, node });
    this.nodes.push(node);
    return results;
  }

  #named(map: Map<string, Tensor>, name: string, shape: Shape, type: ElementType): Tensor {
    if (this.inputs.has(name) || this.buffers.has(name))
      throw new RlpaError('invalid-graph', `The graph has an input ${name} already.`, { name });
    const tensor: Tensor = { id: this.#count++, graph: this, shape, type };
    map.set(name, tensor);
    return tensor;
  }
}
