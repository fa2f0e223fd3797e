import { type Graph, sizeOf } from '../../tensor/index';
import type { NumberArray, Program, RunOptions } from '../device';
import { type Buffers, forData, roundUp, usage } from './buffers';
import { type Launch, type LoweredProgram, sortRows } from './lower';
import type { Pipeline } from './pipelines';

/** Where a binding to a part of a buffer may begin, on every adapter. */
export const alignment = 256;
/** Workgroups in a direction, on every adapter; what is more goes into a second one. */
const most = 65_535;

/** A graph as it is replayed: its pipelines, and the buffers that belong to it alone. */
export class Recording implements Program {
  readonly uniforms: GPUBuffer;
  readonly constants: GPUBuffer | undefined;
  readonly constantOffsets: readonly number[];
  readonly inputs: GPUBuffer | undefined;
  readonly inputOffsets: ReadonlyMap<string, number>;
  readonly outputOffsets: ReadonlyMap<string, number>;
  readonly outputBytes: number;
  /** Bindings by the buffers that they name, the longest unused first; void when scratch memory was made anew since. */
  readonly bindings = new Map<string, { readonly generation: number; readonly groups: readonly GPUBindGroup[] }>();
  readonly #inputData: ArrayBuffer;
  readonly #folded: readonly (readonly [number, number])[];
  readonly #staging: GPUBuffer[] = [];
  #released = false;

  constructor(
    readonly id: number,
    readonly graph: Graph,
    readonly lowered: LoweredProgram,
    readonly pipelines: readonly Pipeline[],
    readonly memory: Buffers,
  ) {
    const { queue } = memory.device;
    const written = (data: ArrayBuffer, flags: number) => {
      const buffer = memory.create(data.byteLength, flags, 'the numbers of a program');
      queue.writeBuffer(buffer, 0, data);
      return buffer;
    };
    const named = (names: Iterable<string>, offsets: readonly number[]) =>
      new Map([...names].map((name, index) => [name, offsets[index]!]));
    this.#folded = lowered.launches.map(({ call: { groups } }) => [Math.min(groups, most), Math.ceil(groups / most)]);
    this.uniforms = written(uniformData(lowered.launches), usage.uniform | usage.copyTarget);
    const constants = packed(lowered.constants.map(({ byteLength }) => byteLength));
    this.constantOffsets = constants.offsets;
    if (constants.bytes > 0) this.constants = written(packedData(lowered.constants, constants), forData);
    const inputs = packed([...lowered.inputs.values()]);
    this.inputOffsets = named(lowered.inputs.keys(), inputs.offsets);
    this.#inputData = new ArrayBuffer(inputs.bytes);
    if (inputs.bytes > 0) this.inputs = memory.create(inputs.bytes, forData, 'the inputs of a program');
    const sizes = [...lowered.outputs.values()].map(({ tensor }) => 4 * sizeOf(tensor.shape));
    const outputs = packed(sizes, 4);
    this.outputOffsets = named(lowered.outputs.keys(), outputs.offsets);
    this.outputBytes = outputs.bytes;
  }

  /** Writes the inputs of a run, and what is derived from them, in one piece. */
  writeInputs(inputs: NonNullable<RunOptions['inputs']>): void {
    if (!this.inputs) return;
    const bytes = new Uint8Array(this.#inputData);
    const put = (key: string, data: NumberArray) =>
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), this.inputOffsets.get(key)!);
    for (const name of this.graph.inputs.keys()) if (this.inputOffsets.has(name)) put(name, inputs[name]!);
    for (const { input, height, starts, order } of this.lowered.sorted) {
      const rows = sortRows(inputs[input] as Int32Array, height);
      put(starts, rows.starts);
      put(order, rows.order);
    }
    this.memory.device.queue.writeBuffer(this.inputs, 0, this.#inputData);
  }

  /** Adds one dispatch to a pass. */
  dispatch(pass: GPUComputePassEncoder, index: number, group: GPUBindGroup): void {
    pass.setPipeline(this.pipelines[index]!.pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...this.#folded[index]!);
  }

  /** A buffer that outputs are read from. */
  takeStaging(): GPUBuffer {
    return this.#staging.pop() ?? this.memory.create(this.outputBytes, usage.mapRead | usage.copyTarget, 'the outputs of a program');
  }

  giveStaging(buffer: GPUBuffer): void {
    if (this.#released) this.memory.destroy(buffer);
    else this.#staging.push(buffer);
  }

  /** The outputs by name, from what was copied to staging memory. */
  outputsFrom(data: ArrayBuffer): Record<string, NumberArray> {
    const results: Record<string, NumberArray> = {};
    for (const [name, { tensor }] of this.lowered.outputs) {
      const offset = this.outputOffsets.get(name)!;
      const count = sizeOf(tensor.shape);
      results[name] = tensor.type === 'f32' ? new Float32Array(data, offset, count) : new Int32Array(data, offset, count);
    }
    return results;
  }

  release(): void {
    this.#released = true;
    for (const buffer of [this.uniforms, this.constants, this.inputs, ...this.#staging]) if (buffer) this.memory.destroy(buffer);
  }
}

interface Packed {
  readonly offsets: readonly number[];
  readonly bytes: number;
}

/** Lays pieces out one after the other, each where a binding may begin. */
function packed(sizes: readonly number[], step = alignment): Packed {
  let bytes = 0;
  const offsets = sizes.map((size) => {
    const offset = bytes;
    bytes += roundUp(Math.max(size, 16), step);
    return offset;
  });
  return { offsets, bytes };
}

function packedData(pieces: readonly (Float32Array | Int32Array)[], { offsets, bytes }: Packed): ArrayBuffer {
  const data = new Uint8Array(bytes);
  pieces.forEach((piece, index) => {
    data.set(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength), offsets[index]!);
  });
  return data.buffer;
}

function uniformData(launches: readonly Launch[]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(Math.max(1, launches.length) * alignment));
  launches.forEach(({ call: { kernel, uniforms, groups } }, index) => {
    const start = index * alignment;
    kernel.uniforms.forEach(({ type }, place) => {
      if (type === 'f32') view.setFloat32(start + 4 * place, uniforms[place]!, true);
      else view.setUint32(start + 4 * place, uniforms[place]!, true);
    });
    view.setUint32(start + 4 * kernel.uniforms.length, groups, true);
  });
  return view.buffer;
}
