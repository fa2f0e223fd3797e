import { RlpaError } from '../../errors';
import { type Graph, type Node, sizeOf, type Tensor } from '../../tensor/index';
import { type Accumulate, copy, type ElementwiseStep, elementwise, isElementwise, type KernelCall } from '../kernels/index';
import { isView, root } from './fusion';
import { append, launchers } from './launchers';
import type { MatmulShape } from './matmul';
import { assignSlots } from './memory';
import { chainOutputs, columnInputs, type Emission, isScalarConstant, type Schedule, schedule } from './schedule';
import type { MethodOf } from './tiles';

/** A piece of memory that a program uses; `slot` once it has been planned, for what lives within a run only. */
export interface Value {
  readonly bytes: number;
  readonly place:
    | { readonly kind: 'buffer'; readonly name: string }
    | { readonly kind: 'input'; readonly key: string }
    | { readonly kind: 'constant'; readonly index: number }
    | { readonly kind: 'scratch' };
  slot?: number;
}

/** A value, or a part of one, as a kernel sees it. */
export interface Use {
  readonly value: Value;
  readonly offset?: number;
  readonly bytes?: number;
}

/** One dispatch. */
export interface Launch {
  readonly node: Node | undefined;
  readonly call: KernelCall;
  readonly uses: readonly Use[];
  /** Of a matrix product. */
  readonly product?: MatmulShape;
}

/** Rows of an input sorted by their content, for the kernel that adds rows: see `scatterAdd`. */
export interface SortedInput {
  readonly input: string;
  readonly height: number;
  readonly starts: string;
  readonly order: string;
}

export interface LoweredProgram {
  readonly launches: readonly Launch[];
  /** Bytes of each slot of scratch memory, largest first. */
  readonly slots: readonly number[];
  readonly inputs: ReadonlyMap<string, number>;
  readonly sorted: readonly SortedInput[];
  readonly constants: readonly (Float32Array | Int32Array)[];
  readonly outputs: ReadonlyMap<string, { readonly value: Value; readonly tensor: Tensor }>;
}

export interface LoweringOptions {
  /** Storage buffers that a kernel may bind. */
  readonly storageBuffers: number;
  /** Largest binding. */
  readonly bindingBytes: number;
  /** Workgroup memory of a kernel at most. */
  readonly sharedBytes: number;
  readonly methodOf: MethodOf;
}

/** Translates a graph to kernel launches, and plans the memory that they need. */
export function lowerGraph(graph: Graph, options: LoweringOptions): LoweredProgram {
  const lowering = new Lowering(graph, options);
  for (const [index, emission] of lowering.schedule.emissions.entries()) lowering.emit(emission, index);
  return lowering.finish();
}

export class Lowering {
  readonly schedule: Schedule;
  readonly #launches: Launch[] = [];
  readonly #values = new Map<Tensor, Value>();
  readonly #inputNames: ReadonlyMap<Tensor, string>;
  readonly #bufferNames: ReadonlyMap<Tensor, string>;
  /** The buffer that a tensor is to end up in. */
  readonly #targets: ReadonlyMap<Tensor, string>;
  readonly #inputs = new Map<string, number>();
  readonly #sorted = new Map<string, SortedInput>();
  readonly #constants: (Float32Array | Int32Array)[] = [];
  #index = 0;
  #node: Node | undefined;

  constructor(
    readonly graph: Graph,
    readonly options: LoweringOptions,
  ) {
    this.schedule = schedule(graph, options.storageBuffers);
    this.#inputNames = new Map([...graph.inputs].map(([name, tensor]) => [tensor, name]));
    this.#bufferNames = new Map([...graph.buffers].map(([name, tensor]) => [tensor, name]));
    this.#targets = new Map([...graph.assignments].map(([name, tensor]) => [root(tensor), name]));
  }

  emit(emission: Emission, index: number): void {
    this.#index = index;
    const [node] = emission.nodes as [Node];
    this.#node = node;
    if (isElementwise(node.operation)) this.#chain(emission.nodes);
    else if (!isView(node.operation)) launchers[node.operation](this, emission);
  }

  /** Where a tensor is read. */
  read(tensor: Tensor): Value {
    const own = root(tensor);
    let value = this.#values.get(own);
    if (!value) {
      value = { bytes: this.#bytes(own), place: this.#placeOf(own) };
      this.#values.set(own, value);
    }
    return value;
  }

  /** Where a result is written: the buffer that it is assigned to if nothing needs the old content any more. */
  write(tensor: Tensor): Value {
    const own = root(tensor);
    const target = this.#targets.get(own);
    const buffer = target !== undefined ? this.graph.buffers.get(target)! : undefined;
    const free = buffer && (this.schedule.lastRead.get(buffer) ?? -1) < this.#index;
    const value = free ? this.read(buffer) : this.temporary(this.#bytes(own));
    this.#values.set(own, value);
    return value;
  }

  /** Memory for the launches of one emission, or for what has been computed. */
  temporary(bytes: number): Value {
    return { bytes, place: { kind: 'scratch' } };
  }

  /** How a result that takes part in a sum is written: what is added, from where, and to where. */
  accumulate(tensor: Tensor): { readonly accumulate: Accumulate; readonly addend: readonly Use[]; readonly y: Use } {
    const sum = this.schedule.plan.sums.get(tensor);
    const result = sum?.result ?? tensor;
    if (!sum?.addend) return { accumulate: '', addend: [], y: { value: this.write(result) } };
    const addend = root(sum.addend);
    const held = this.read(addend);
    const { reads } = this.schedule.emissions[this.#index]!;
    // and not by the kernel itself in another role: what a dispatch writes it can't bind a second time
    const last = (this.schedule.lastRead.get(addend) ?? -1) <= this.#index && reads.filter((read) => read === addend).length === 1;
    const target = this.#targets.get(root(sum.total));
    const inPlace =
      last && (held.place.kind === 'buffer' ? held.place.name === target : held.place.kind === 'scratch' && target === undefined);
    if (inPlace) {
      this.#values.set(root(result), held);
      return { accumulate: ' + itself', addend: [], y: { value: held } };
    }
    return { accumulate: ' + addend', addend: [{ value: held }], y: { value: this.write(result) } };
  }

  /**
   * Where the new content of `tensor` is written by a kernel that changes it in place: its own buffer if it is assigned to that, otherwise a
   * copy.
   */
  change(tensor: Tensor, result: Tensor): Value {
    const held = this.read(tensor);
    const target = this.#targets.get(root(result));
    if (held.place.kind === 'buffer' && held.place.name === target && (this.schedule.lastRead.get(root(tensor)) ?? -1) <= this.#index) {
      this.#values.set(root(result), held);
      return held;
    }
    const copy = this.write(result);
    this.#copy(held, copy, sizeOf(tensor.shape));
    return copy;
  }

  launch(call: KernelCall, uses: readonly (Use | Value)[], product?: MatmulShape): void {
    this.#launches.push({ node: this.#node, call, uses: uses.map((use) => ('place' in use ? { value: use } : use)), product });
  }

  /** Memory for content that is given by the caller with every run. */
  constant(data: Float32Array | Int32Array): Value {
    return { bytes: data.byteLength, place: { kind: 'constant', index: this.#constants.push(data) - 1 } };
  }

  /** The places of each row number in an input, for {@link SortedInput}. */
  sorted(rows: Tensor, height: number): { readonly starts: Value; readonly order: Value } {
    const own = root(rows);
    const constant = this.graph.constants.get(own);
    if (constant) {
      const { starts, order } = sortRows(constant as Int32Array, height);
      return { starts: this.constant(starts), order: this.constant(order) };
    }
    const input = this.#inputNames.get(own);
    if (input === undefined) {
      throw new RlpaError('invalid-graph', 'scatterAdd: on this device the rows must be an input or a constant.', {
        operation: 'scatterAdd',
      });
    }
    const key = `${input} in ${height}`;
    const sorted = { input, height, starts: `${key}: starts`, order: `${key}: order` };
    this.#sorted.set(key, sorted);
    const integers = (name: string, count: number): Value => {
      this.#inputs.set(name, 4 * count);
      return { bytes: 4 * count, place: { kind: 'input', key: name } };
    };
    return { starts: integers(sorted.starts, height + 1), order: integers(sorted.order, sizeOf(own.shape)) };
  }

  finish(): LoweredProgram {
    this.#node = undefined;
    this.#index = Number.POSITIVE_INFINITY;
    const outputs = new Map([...this.graph.outputs].map(([name, tensor]) => [name, { value: this.#result(tensor), tensor }]));
    this.#appends();
    for (const [name, tensor] of this.graph.assignments) {
      const target = this.read(this.graph.buffers.get(name)!);
      const value = this.read(tensor);
      if (value !== target) this.#copy(value, target, sizeOf(tensor.shape));
    }
    const slots = assignSlots(this.#launches, new Set([...outputs.values()].map(({ value }) => value)));
    return {
      launches: this.#launches,
      slots,
      inputs: this.#inputs,
      sorted: [...this.#sorted.values()],
      constants: this.#constants,
      outputs,
    };
  }

  /** Where an output is found at the end: the content of a buffer that is assigned to is put by before. */
  #result(tensor: Tensor): Value {
    const value = this.read(tensor);
    if (value.place.kind !== 'buffer' || !this.graph.assignments.has(value.place.name) || root(tensor).node) return value;
    const old = this.temporary(value.bytes);
    this.#copy(value, old, sizeOf(tensor.shape));
    return old;
  }

  #appends(): void {
    const { appends } = this.graph;
    for (let i = 0; i < appends.length; i += 2) {
      const [keys, values] = [appends[i]!, appends[i + 1]];
      if (!values || keys.offsets !== values.offsets || keys.counts !== values.counts || keys.rows !== values.rows) {
        throw new RlpaError('invalid-graph', 'Caches are extended in pairs of keys and values on this device.');
      }
      append(this, keys, values);
    }
  }

  #copy(from: Value, to: Value, count: number): void {
    this.launch(copy(count), [from, to]);
  }

  /** Elementwise nodes as one launch. */
  #chain(nodes: readonly Node[]): void {
    const size = (tensor: Tensor) => sizeOf(tensor.shape);
    const count = Math.max(...nodes.map(({ outputs }) => size(outputs[0]!)));
    const width = nodes.flatMap(columnInputs)[0] ?? 1;
    const step = new Map(nodes.map(({ outputs }, index) => [outputs[0]!, index]));
    const inputs: Tensor[] = [];
    const steps = nodes.map(({ operation, inputs: operands, outputs, attributes }): ElementwiseStep => {
      const single = size(outputs[0]!) === 1 && count > 1;
      const found = operands.map((operand): ElementwiseStep['operands'][number] => {
        const own = root(operand);
        if (step.has(own)) return { step: step.get(own)! };
        if (isScalarConstant(own)) return { constant: this.graph.constants.get(own)![0]! };
        if (!inputs.includes(own)) inputs.push(own);
        const reach = size(own) === 1 ? 'all' : size(own) === size(outputs[0]!) ? 'each' : 'column';
        return { input: inputs.indexOf(own), reach };
      });
      if (operation === 'scale') found.push({ constant: attributes.factor as number });
      return { operation: operation as ElementwiseStep['operation'], operands: found, single };
    });
    const { lastRead } = this.schedule;
    const written = chainOutputs(nodes, (tensor) => (lastRead.get(tensor) ?? -1) > this.#index);
    const reads = inputs.map((tensor) => this.read(tensor));
    const call = elementwise(
      steps,
      inputs.length,
      written.map((tensor) => step.get(tensor)!),
      { count, width },
    );
    this.launch(call, [...reads, ...written.map((tensor) => this.write(tensor))]);
  }

  #placeOf(tensor: Tensor): Value['place'] {
    const input = this.#inputNames.get(tensor);
    if (input !== undefined) {
      this.#inputs.set(input, this.#bytes(tensor));
      return { kind: 'input', key: input };
    }
    const name = this.#bufferNames.get(tensor);
    if (name !== undefined) return { kind: 'buffer', name };
    const data = this.graph.constants.get(tensor);
    if (data) return this.constant(data).place;
    throw new RlpaError('invalid-graph', `${tensor.node?.operation} (at ${tensor.node?.scope}) is read before it is computed.`);
  }

  #bytes(tensor: Tensor): number {
    const bytes = 4 * sizeOf(tensor.shape);
    if (bytes > this.options.bindingBytes) {
      const node = tensor.node ?? this.#node;
      throw new RlpaError(
        'device-failed',
        `${node?.operation ?? 'A buffer'}${node?.scope ? ` (at ${node.scope})` : ''}: a tensor of shape [${tensor.shape}] takes ${bytes} bytes, but this GPU binds at most ${this.options.bindingBytes}. Train with smaller micro-batches, or a smaller model.`,
        { operation: node?.operation, shape: tensor.shape, bytes, limit: this.options.bindingBytes },
      );
    }
    return bytes;
  }
}

/** The places of each row number, in order: those of row r are order[starts[r]] … order[starts[r + 1] − 1]. */
export function sortRows(rows: Int32Array, height: number): { readonly starts: Int32Array; readonly order: Int32Array } {
  const starts = new Int32Array(height + 1);
  for (const row of rows) starts[row + 1]!++;
  for (let row = 0; row < height; row++) starts[row + 1]! += starts[row]!;
  const next = starts.slice();
  const order = new Int32Array(rows.length);
  rows.forEach((row, index) => {
    order[next[row]!++] = index;
  });
  return { starts, order };
}
