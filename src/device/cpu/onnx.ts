import protobuf from 'protobufjs/minimal.js';

/** Element types of ONNX tensors that the CPU device uses (TensorProto.DataType). */
const elementTypes = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9 } as const;
export type ElementType = keyof typeof elementTypes;
/** A size, or the name of one that each run decides. */
export type Dimension = number | string;

/** Bytes of a tensor that lie in a file beside the model's. */
export interface ExternalBytes {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

export type Attribute = number | { readonly int: number } | { readonly ints: readonly number[] } | string;

/** Names a value inside an ONNX graph. */
export type Name = string;

const irVersion = 10;
const newestOpset = 23;

/**
 * Writes an ONNX ModelProto: inputs, outputs, constants and nodes, in that schema's field numbers
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
 */
export class OnnxModel {
  readonly #nodes: { readonly bytes: Uint8Array; readonly inputs: readonly Name[]; readonly outputs: readonly Name[] }[] = [];
  readonly #initializers: Uint8Array[] = [];
  readonly #constants = new Map<string, Name>();
  /** TypeProtos that were written: a training step has a thousand inputs of twenty shapes. */
  readonly #types = new Map<string, Uint8Array>();
  readonly #inputs: Uint8Array[] = [];
  readonly #outputs: Uint8Array[] = [];
  readonly #outputNames = new Set<Name>();
  readonly #computed = new Set<Name>();
  /** What each reshaped value was before. */
  readonly #unshaped = new Map<Name, Name>();
  /** By what was reshaped and to what. */
  readonly #reshaped = new Map<string, Name>();
  #count = 0;

  /** @param opset what the model asks of the runtime that loads it */
  constructor(readonly opset = newestOpset) {}

  input(name: Name, type: ElementType, shape: readonly Dimension[]): void {
    this.#inputs.push(this.#valueInfo(name, type, shape));
  }

  output(name: Name, type: ElementType, shape: readonly Dimension[]): void {
    this.#outputs.push(this.#valueInfo(name, type, shape));
    this.#outputNames.add(name);
  }

  /** A fresh value name. */
  name(): Name {
    return `v${this.#count++}`;
  }

  /** Adds a node and returns the name of its only output. Attributes: plain numbers are floats, `{ int }` and `{ ints }` integers. */
  node(op: string, inputs: readonly Name[], attributes: Readonly<Record<string, Attribute>> = {}, domain = ''): Name {
    return this.nodes(op, inputs, 1, attributes, domain)[0]!;
  }

  /** Adds a node with several outputs. An output count of `[true, false, true]` leaves out the second. */
  nodes(
    op: string,
    inputs: readonly Name[],
    outputs: number | readonly boolean[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): Name[] {
    const names =
      typeof outputs === 'number' ? Array.from({ length: outputs }, () => this.name()) : outputs.map((used) => (used ? this.name() : ''));
    this.bind(op, inputs, names, attributes, domain);
    return names;
  }

  /** The same numbers in another shape: in one step however often it was changed before, and once however often it is asked for. */
  reshape(name: Name, ...shape: number[]): Name {
    const source = this.#unshaped.get(name) ?? name;
    const key = `${source} ${shape}`;
    const known = this.#reshaped.get(key);
    if (known) return known;
    const reshaped = this.node('Reshape', [source, this.integers(...shape)]);
    this.#unshaped.set(reshaped, source);
    this.#reshaped.set(key, reshaped);
    return reshaped;
  }

  /** Says which shape a computed value has: to be asked for it in that shape takes no step. */
  hasShape(name: Name, ...shape: number[]): void {
    this.#reshaped.set(`${name} ${shape}`, name);
  }

  /** Adds a node whose outputs have the given names. */
  bind(
    op: string,
    inputs: readonly Name[],
    outputs: readonly Name[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): void {
    const writer = protobuf.Writer.create();
    for (const input of inputs) writer.uint32(tag(1, 2)).string(input);
    for (const output of outputs) writer.uint32(tag(2, 2)).string(output);
    writer.uint32(tag(4, 2)).string(op);
    for (const [name, value] of Object.entries(attributes)) writer.uint32(tag(5, 2)).bytes(attribute(name, value));
    if (domain) writer.uint32(tag(7, 2)).string(domain);
    this.#nodes.push({ bytes: writer.finish(), inputs, outputs });
    for (const output of outputs) this.#computed.add(output);
  }

  /** A constant tensor; equal small constants are written once. */
  constant(type: ElementType, shape: readonly number[], values: ArrayLike<number>): Name {
    const key = values.length <= 64 ? `${type}[${shape}]${Array.from(values)}` : undefined;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known) return known;
    const name = `c${this.#count++}`;
    const writer = protobuf.Writer.create();
    for (const size of shape) writer.uint32(tag(1, 0)).int64(size);
    writer.uint32(tag(2, 0)).int32(elementTypes[type]);
    writer.uint32(tag(8, 2)).string(name);
    writer.uint32(tag(9, 2)).bytes(rawBytes(type, values));
    this.#initializers.push(writer.finish());
    if (key !== undefined) this.#constants.set(key, name);
    return name;
  }

  /** A constant with a name of its own, whose bytes are given as they are. */
  initializer(name: Name, type: ElementType, shape: readonly number[], bytes: Uint8Array | ExternalBytes): Name {
    const writer = protobuf.Writer.create();
    for (const size of shape) writer.uint32(tag(1, 0)).int64(size);
    writer.uint32(tag(2, 0)).int32(elementTypes[type]);
    writer.uint32(tag(8, 2)).string(name);
    if (bytes instanceof Uint8Array) writer.uint32(tag(9, 2)).bytes(bytes);
    else {
      const { file, offset, length } = bytes;
      for (const [key, value] of Object.entries({ location: file, offset, length })) {
        const entry = protobuf.Writer.create().uint32(tag(1, 2)).string(key).uint32(tag(2, 2)).string(String(value)).finish();
        writer.uint32(tag(13, 2)).bytes(entry);
      }
      writer.uint32(tag(14, 0)).int32(1);
    }
    this.#initializers.push(writer.finish());
    return name;
  }

  float(value: number): Name {
    return this.constant('f32', [], [value]);
  }

  /** A one-dimensional int64 constant, as shapes and axes are given. */
  integers(...values: number[]): Name {
    return this.constant('i64', [values.length], values);
  }

  /** A name under which a value can be an output: its own, unless it is no node's or an output already. */
  distinct(name: Name): Name {
    if (this.#computed.has(name) && !this.#outputNames.has(name)) return name;
    return this.node('Identity', [name]);
  }

  /** Nodes that an output depends on; the runtime would run the others too. */
  #liveNodes(): Uint8Array[] {
    const needed = new Set(this.#outputNames);
    const live: Uint8Array[] = [];
    for (const { bytes, inputs, outputs } of [...this.#nodes].reverse()) {
      if (!outputs.some((output) => needed.has(output))) continue;
      for (const input of inputs) needed.add(input);
      live.push(bytes);
    }
    return live.reverse();
  }

  #valueInfo(name: Name, type: ElementType, shape: readonly Dimension[]): Uint8Array {
    const key = `${type}[${shape}]`;
    let bytes = this.#types.get(key);
    if (!bytes) {
      bytes = typeProto(type, shape);
      this.#types.set(key, bytes);
    }
    return protobuf.Writer.create().uint32(tag(1, 2)).string(name).uint32(tag(2, 2)).bytes(bytes).finish();
  }

  finish(): Uint8Array {
    const graph = protobuf.Writer.create();
    for (const bytes of this.#liveNodes()) graph.uint32(tag(1, 2)).bytes(bytes);
    graph.uint32(tag(2, 2)).string('rlpa');
    for (const initializer of this.#initializers) graph.uint32(tag(5, 2)).bytes(initializer);
    for (const input of this.#inputs) graph.uint32(tag(11, 2)).bytes(input);
    for (const output of this.#outputs) graph.uint32(tag(12, 2)).bytes(output);
    const model = protobuf.Writer.create();
    model.uint32(tag(1, 0)).int64(irVersion);
    model.uint32(tag(7, 2)).bytes(graph.finish());
    model.uint32(tag(8, 2)).bytes(operatorSet('', this.opset));
    model.uint32(tag(8, 2)).bytes(operatorSet('com.microsoft', 1));
    return model.finish();
  }
}

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

function operatorSet(domain: string, version: number): Uint8Array {
  return protobuf.Writer.create().uint32(tag(1, 2)).string(domain).uint32(tag(2, 0)).int64(version).finish();
}

function attribute(name: string, value: Attribute): Uint8Array {
  const writer = protobuf.Writer.create().uint32(tag(1, 2)).string(name);
  if (typeof value === 'number') writer.uint32(tag(2, 5)).float(value).uint32(tag(20, 0)).int32(1);
  else if (typeof value === 'string') writer.uint32(tag(4, 2)).string(value).uint32(tag(20, 0)).int32(3);
  else if ('int' in value) writer.uint32(tag(3, 0)).int64(value.int).uint32(tag(20, 0)).int32(2);
  else {
    for (const item of value.ints) writer.uint32(tag(8, 0)).int64(item);
    writer.uint32(tag(20, 0)).int32(7);
  }
  return writer.finish();
}

function typeProto(type: ElementType, shape: readonly Dimension[]): Uint8Array {
  const dimensions = protobuf.Writer.create();
  for (const size of shape) {
    const dimension = protobuf.Writer.create();
    if (typeof size === 'number') dimension.uint32(tag(1, 0)).int64(size);
    else dimension.uint32(tag(2, 2)).string(size);
    dimensions.uint32(tag(1, 2)).bytes(dimension.finish());
  }
  const tensor = protobuf.Writer.create().uint32(tag(1, 0)).int32(elementTypes[type]).uint32(tag(2, 2)).bytes(dimensions.finish()).finish();
  return protobuf.Writer.create().uint32(tag(1, 2)).bytes(tensor).finish();
}

function rawBytes(type: ElementType, values: ArrayLike<number>): Uint8Array {
  if (type === 'f32') return new Uint8Array(new Float32Array(values).buffer);
  if (type === 'i32') return new Uint8Array(new Int32Array(values).buffer);
  if (type === 'bool' || type === 'u8') return Uint8Array.from(values);
  return new Uint8Array(BigInt64Array.from(Array.from(values, (value) => BigInt(value))).buffer);
}
