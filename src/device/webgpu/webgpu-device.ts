import { RlpaError } from '../../errors';
import { type ElementType, type Graph, type Shape, sizeOf } from '../../tensor/index';
import { boundBuffers, checkBufferData } from '../checks';
import type { Device, DeviceBuffer, NumberArray, Program, RunOptions } from '../device';
import { Buffers, forData, paddedBytes, roundUp, usage } from './buffers';
import { type Launch, type LoweredProgram, lowerGraph, sortRows, type Value } from './lower';
import type { MatmulShape, Tile } from './matmul';
import { type Pipeline, Pipelines } from './pipelines';
import { tileOf } from './tiles';

/** What a device has done since it was opened. */
export interface DeviceCounters {
  readonly submits: number;
  readonly dispatches: number;
  readonly pipelines: number;
  readonly bindGroups: number;
  /** Buffers that exist, and their bytes. */
  readonly buffers: number;
  readonly bytes: number;
}

/** What a dispatch took. */
export interface DispatchTime {
  readonly kernel: string;
  readonly operation: string;
  readonly scope: string;
  readonly workgroups: number;
  readonly milliseconds: number;
}

/** A GPU, as its users see it. */
export interface GpuDevice extends Device {
  /** What was found: `software` adapters compute on the processor, slowly. */
  readonly adapter: { readonly name: string; readonly software: boolean };
  readonly counters: DeviceCounters;
  /** Runs a program and says what each of its dispatches took. */
  profile(program: Program, options: RunOptions): Promise<DispatchTime[]>;
}

export interface WebGpuDeviceOptions {
  /** Which part of a product a workgroup computes; by default a choice by the product's size. */
  readonly tileOf?: (shape: MatmulShape) => Tile | 'narrow';
}

/** Sets of buffers, such as a policy's and its reference's, that a program keeps its bindings for. */
const keptBindings = 6;
const alignment = 256;
const most = 65_535;

interface Compiled extends Program {
  readonly lowered: LoweredProgram;
  readonly pipelines: readonly Pipeline[];
  readonly folded: readonly (readonly [number, number])[];
  readonly uniforms: GPUBuffer;
  readonly constants: GPUBuffer | undefined;
  readonly constantOffsets: readonly number[];
  readonly inputs: GPUBuffer | undefined;
  readonly inputOffsets: ReadonlyMap<string, number>;
  readonly inputData: ArrayBuffer;
  readonly outputOffsets: ReadonlyMap<string, number>;
  readonly outputBytes: number;
  readonly staging: GPUBuffer[];
  readonly bindings: Map<string, { readonly generation: number; readonly groups: readonly GPUBindGroup[] }>;
}

/**
 * Runs graphs on a GPU through WebGPU, by kernels of our own. A program is recorded when it is compiled; a run writes its inputs, replays the
 * dispatches in one submit and reads its outputs back. Weights, moments and caches stay on the GPU.
 */
export class WebGpuDevice implements GpuDevice {
  readonly kind = 'webgpu';
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #tileOf: (shape: MatmulShape) => Tile | 'narrow';
  readonly #memory: Buffers;
  readonly #buffers = new Map<number, GPUBuffer>();
  readonly #programs = new Map<number, Compiled>();
  readonly #identities = new WeakMap<GPUBuffer, number>();
  /** What programs compute in, largest first; shared by all, since they run one after the other. */
  readonly #scratch: GPUBuffer[] = [];
  /** Changes when scratch memory is made anew: bindings to the old one are void. */
  #generation = 0;
  #count = 0;
  #counters = { submits: 0, dispatches: 0, bindGroups: 0 };
  #failure: RlpaError | undefined;
  /** An error that came out of itself. What was found out about its cause goes before it. */
  #complaint: RlpaError | undefined;

  readonly adapter: GpuDevice['adapter'];

  /** @param device with all limits that its adapter offers; it belongs to this object from now on */
  constructor(device: GPUDevice, options: WebGpuDeviceOptions = {}) {
    this.#device = device;
    const { vendor, architecture, description, isFallbackAdapter } = device.adapterInfo;
    this.adapter = {
      name: description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed',
      software: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software/i.test(`${architecture} ${description}`),
    };
    this.#pipelines = new Pipelines(device);
    this.#memory = new Buffers(device, (error) => this.#fail(error));
    this.#tileOf = options.tileOf ?? tileOf;
    device.addEventListener('uncapturederror', (event) => {
      this.#complaint ??= new RlpaError('device-failed', `WebGPU: ${(event as GPUUncapturedErrorEvent).error.message}`);
    });
    void device.lost.then(({ reason, message }) => {
      const said = reason === 'destroyed' ? 'The WebGPU device was disposed of.' : `The GPU was lost: ${message || 'no reason given'}`;
      this.#fail(
        new RlpaError('device-failed', `${said} Weights and caches on it are gone; a run goes on from its last checkpoint.`, { reason }),
      );
    });
  }

  get counters(): DeviceCounters {
    return { ...this.#counters, pipelines: this.#pipelines.size, buffers: this.#memory.count, bytes: this.#memory.bytes };
  }

  create(shape: Shape, type: ElementType, data?: NumberArray): DeviceBuffer {
    checkBufferData(shape, data);
    this.#throwFailure();
    const buffer = { id: this.#count++, shape, type };
    const memory = this.#memory.take(4 * sizeOf(shape), `a buffer of shape [${shape}]`);
    this.#buffers.set(buffer.id, memory);
    if (data) this.#device.queue.writeBuffer(memory, 0, data as Float32Array<ArrayBuffer>);
    else {
      const encoder = this.#device.createCommandEncoder();
      encoder.clearBuffer(memory);
      this.#submit(encoder);
    }
    return buffer;
  }

  write(buffer: DeviceBuffer, data: NumberArray): void {
    checkBufferData(buffer.shape, data);
    this.#device.queue.writeBuffer(this.#bufferOf(buffer), 0, data as Float32Array<ArrayBuffer>);
  }

  async read(buffer: DeviceBuffer): Promise<NumberArray> {
    this.#throwFailure();
    const bytes = 4 * sizeOf(buffer.shape);
    const staging = this.#memory.create(bytes, usage.mapRead | usage.copyTarget, 'a copy to be read');
    try {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(this.#bufferOf(buffer), 0, staging, 0, bytes);
      this.#submit(encoder);
      const copy = await this.#mapped(staging, bytes);
      return buffer.type === 'f32' ? new Float32Array(copy) : new Int32Array(copy);
    } finally {
      this.#memory.destroy(staging);
    }
  }

  copy(from: DeviceBuffer, to: DeviceBuffer): void {
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#bufferOf(from), 0, this.#bufferOf(to), 0, 4 * sizeOf(from.shape));
    this.#submit(encoder);
  }

  release(buffers: Iterable<DeviceBuffer>): void {
    for (const { id } of buffers) {
      const buffer = this.#buffers.get(id);
      if (buffer) this.#memory.give(buffer);
      this.#buffers.delete(id);
    }
  }

  async compile(graph: Graph): Promise<Program> {
    this.#throwFailure();
    const { limits } = this.#device;
    const lowered = lowerGraph(graph, {
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
      bindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
      tileOf: this.#tileOf,
    });
    for (const launch of lowered.launches) this.#check(launch);
    const pipelines = await Promise.all(lowered.launches.map((launch) => this.#pipelines.get(launch.call.kernel, describe(launch))));
    this.#throwFailure();
    const constants = packed(lowered.constants.map(({ byteLength }) => byteLength));
    const inputs = packed([...lowered.inputs.values()]);
    const outputs = packed(
      [...lowered.outputs.values()].map(({ tensor }) => 4 * sizeOf(tensor.shape)),
      4,
    );
    const named = (names: Iterable<string>, offsets: readonly number[]) =>
      new Map([...names].map((name, index) => [name, offsets[index]!]));
    const compiled: Compiled = {
      id: this.#count++,
      graph,
      lowered,
      pipelines,
      folded: lowered.launches.map(({ call: { groups } }) => [Math.min(groups, most), Math.ceil(groups / most)]),
      uniforms: this.#writtenBuffer(uniformData(lowered.launches), usage.uniform | usage.copyTarget),
      constants: constants.bytes > 0 ? this.#writtenBuffer(packedData(lowered.constants, constants), forData) : undefined,
      constantOffsets: constants.offsets,
      inputs: inputs.bytes > 0 ? this.#memory.create(inputs.bytes, forData, 'the inputs of a program') : undefined,
      inputOffsets: named(lowered.inputs.keys(), inputs.offsets),
      inputData: new ArrayBuffer(inputs.bytes),
      outputOffsets: named(lowered.outputs.keys(), outputs.offsets),
      outputBytes: outputs.bytes,
      staging: [],
      bindings: new Map(),
    };
    this.#programs.set(compiled.id, compiled);
    this.#reserveScratch(lowered.slots);
    return compiled;
  }

  async run(program: Program, options: RunOptions): Promise<Record<string, NumberArray>> {
    this.#throwFailure();
    const bound = boundBuffers(program, options);
    const compiled = this.#programs.get(program.id);
    if (!compiled) throw new RlpaError('device-failed', 'This program was discarded.');
    const { lowered, pipelines, folded, inputs, inputData, outputBytes } = compiled;
    const groups = this.#bindGroups(compiled, bound);
    if (inputs) {
      fillInputs(compiled, options.inputs ?? {});
      this.#device.queue.writeBuffer(inputs, 0, inputData);
    }
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const [index, { pipeline }] of pipelines.entries()) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, groups[index]!);
      pass.dispatchWorkgroups(...folded[index]!);
    }
    pass.end();
    this.#counters.dispatches += pipelines.length;
    if (outputBytes === 0) {
      this.#submit(encoder);
      await this.#device.queue.onSubmittedWorkDone();
      await this.#memory.granted();
      this.#throwFailure();
      return {};
    }
    const staging =
      compiled.staging.pop() ?? this.#memory.create(outputBytes, usage.mapRead | usage.copyTarget, 'the outputs of a program');
    for (const [name, { value, tensor }] of lowered.outputs) {
      const [buffer, offset] = this.#placeOf(compiled, bound, value);
      encoder.copyBufferToBuffer(buffer, offset, staging, compiled.outputOffsets.get(name)!, 4 * sizeOf(tensor.shape));
    }
    this.#submit(encoder);
    const data = await this.#mapped(staging, outputBytes);
    if (this.#programs.has(compiled.id)) compiled.staging.push(staging);
    else this.#memory.destroy(staging);
    const results: Record<string, NumberArray> = {};
    for (const [name, { tensor }] of lowered.outputs) {
      const offset = compiled.outputOffsets.get(name)!;
      const count = sizeOf(tensor.shape);
      results[name] = tensor.type === 'f32' ? new Float32Array(data, offset, count) : new Int32Array(data, offset, count);
    }
    return results;
  }

  /**
   * Runs the program as {@link run} does, and says what each dispatch took on the GPU, by its clock. The dispatches stand in passes of their
   * own then, so together they take longer than in a run.
   *
   * @throws `device-failed` where the adapter has no timestamps
   */
  async profile(program: Program, options: RunOptions): Promise<DispatchTime[]> {
    this.#throwFailure();
    if (!this.#device.features.has('timestamp-query'))
      throw new RlpaError('device-failed', 'This GPU does not tell the time (timestamp-query).');
    const compiled = this.#programs.get(program.id);
    if (!compiled) throw new RlpaError('device-failed', 'This program was discarded.');
    const groups = this.#bindGroups(compiled, boundBuffers(program, options));
    const { launches } = compiled.lowered;
    if (compiled.inputs) {
      fillInputs(compiled, options.inputs ?? {});
      this.#device.queue.writeBuffer(compiled.inputs, 0, compiled.inputData);
    }
    const bytes = 16 * launches.length;
    const times = this.#device.createQuerySet({ type: 'timestamp', count: 2 * launches.length });
    const resolved = this.#memory.create(bytes, usage.queryResolve | usage.copySource, 'the times of a program');
    const staging = this.#memory.create(bytes, usage.mapRead | usage.copyTarget, 'the times of a program');
    try {
      const encoder = this.#device.createCommandEncoder();
      for (const [index, { pipeline }] of compiled.pipelines.entries()) {
        const pass = encoder.beginComputePass({
          timestampWrites: { querySet: times, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 },
        });
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, groups[index]!);
        pass.dispatchWorkgroups(...compiled.folded[index]!);
        pass.end();
      }
      encoder.resolveQuerySet(times, 0, 2 * launches.length, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
      this.#submit(encoder);
      const nanoseconds = new BigUint64Array(await this.#mapped(staging, bytes));
      return launches.map((launch, index) => ({
        kernel: launch.call.kernel.name,
        operation: launch.node?.operation ?? 'append',
        scope: launch.node?.scope ?? '',
        workgroups: launch.call.groups,
        milliseconds: Number(nanoseconds[2 * index + 1]! - nanoseconds[2 * index]!) / 1e6,
      }));
    } finally {
      times.destroy();
      this.#memory.destroy(resolved);
      this.#memory.destroy(staging);
    }
  }

  discard(program: Program): void {
    const compiled = this.#programs.get(program.id);
    if (!compiled) return;
    this.#programs.delete(program.id);
    for (const buffer of [compiled.uniforms, compiled.constants, compiled.inputs, ...compiled.staging])
      if (buffer) this.#memory.destroy(buffer);
  }

  async dispose(): Promise<void> {
    this.#device.destroy();
    await this.#device.lost;
  }

  /** Gives scratch memory the sizes that a program needs; what is too small is made anew. */
  #reserveScratch(slots: readonly number[]): void {
    for (const [index, bytes] of slots.entries()) {
      const held = this.#scratch[index];
      if (held && held.size >= bytes) continue;
      if (held) this.#memory.destroy(held);
      this.#scratch[index] = this.#memory.create(bytes, forData, 'what a program computes in');
      this.#generation++;
    }
  }

  #bindGroups(compiled: Compiled, bound: ReadonlyMap<string, DeviceBuffer>): readonly GPUBindGroup[] {
    const key = [...bound.values()].map((buffer) => this.#identity(this.#bufferOf(buffer))).join(' ');
    const known = compiled.bindings.get(key);
    if (known && known.generation === this.#generation) return known.groups;
    const groups = compiled.lowered.launches.map(({ call: { kernel }, uses }, index) => {
      const uniforms = { buffer: compiled.uniforms, offset: index * alignment, size: roundUp(4 * (kernel.uniforms.length + 1), 16) };
      return this.#device.createBindGroup({
        label: kernel.name,
        layout: compiled.pipelines[index]!.layout,
        entries: [
          { binding: 0, resource: uniforms },
          ...uses.map(({ value, offset = 0, bytes = value.bytes }, place) => {
            const [buffer, start] = this.#placeOf(compiled, bound, value);
            return { binding: place + 1, resource: { buffer, offset: start + offset, size: paddedBytes(bytes) } };
          }),
        ],
      });
    });
    this.#counters.bindGroups += groups.length;
    compiled.bindings.delete(key);
    compiled.bindings.set(key, { generation: this.#generation, groups });
    if (compiled.bindings.size > keptBindings) compiled.bindings.delete(compiled.bindings.keys().next().value!);
    return groups;
  }

  #placeOf(compiled: Compiled, bound: ReadonlyMap<string, DeviceBuffer>, { place, slot }: Value): [GPUBuffer, number] {
    switch (place.kind) {
      case 'buffer':
        return [this.#bufferOf(bound.get(place.name)!), 0];
      case 'input':
        return [compiled.inputs!, compiled.inputOffsets.get(place.key)!];
      case 'constant':
        return [compiled.constants!, compiled.constantOffsets[place.index]!];
      case 'scratch':
        return [this.#scratch[slot!]!, 0];
    }
  }

  #identity(buffer: GPUBuffer): number {
    let identity = this.#identities.get(buffer);
    if (identity === undefined) {
      identity = this.#count++;
      this.#identities.set(buffer, identity);
    }
    return identity;
  }

  #bufferOf({ id }: DeviceBuffer): GPUBuffer {
    this.#throwFailure();
    const buffer = this.#buffers.get(id);
    if (!buffer) throw new RlpaError('device-failed', `Buffer ${id} was released.`);
    return buffer;
  }

  #writtenBuffer(data: ArrayBuffer, flags: number): GPUBuffer {
    const buffer = this.#memory.create(data.byteLength, flags, 'the numbers of a program');
    this.#device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  #submit(encoder: GPUCommandEncoder): void {
    this.#device.queue.submit([encoder.finish()]);
    this.#counters.submits++;
  }

  async #mapped(staging: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await staging.mapAsync(1, 0, bytes);
    } catch (cause) {
      // a mapping fails when the device is lost, and errors that came before are the better explanation
      await this.#memory.granted();
      this.#throwFailure();
      throw new RlpaError('device-failed', `WebGPU: ${(cause as Error).message}`, {}, { cause });
    }
    const data = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    await this.#memory.granted();
    this.#throwFailure();
    return data;
  }

  /** Refuses a dispatch that the device's limits do not allow, before it is issued. */
  #check(launch: Launch): void {
    const { call, uses } = launch;
    const { limits } = this.#device;
    const { kernel, groups } = call;
    const shared = (kernel.shared ?? []).reduce((total, { type, size }) => total + size * (type === 'vec4f' ? 16 : 4), 0);
    const checks: readonly [string, number, number][] = [
      ['threads a workgroup', kernel.threads, limits.maxComputeInvocationsPerWorkgroup],
      ['bytes of workgroup memory', shared, limits.maxComputeWorkgroupStorageSize],
      ['storage buffers', uses.length, limits.maxStorageBuffersPerShaderStage],
      ['workgroups', groups, limits.maxComputeWorkgroupsPerDimension ** 2],
    ];
    for (const [what, needed, limit] of checks) {
      if (needed <= limit) continue;
      throw new RlpaError(
        'device-failed',
        `${describe(launch)}: the kernel ${kernel.name} needs ${needed} ${what}; this GPU allows ${limit}.`,
        {
          kernel: kernel.name,
          needed,
          limit,
        },
      );
    }
  }

  #fail(error: RlpaError): void {
    this.#failure ??= error;
  }

  #throwFailure(): void {
    const error = this.#failure ?? this.#complaint;
    if (error) throw error;
  }
}

function describe({ node }: Launch): string {
  if (!node) return 'the end of the program';
  return `${node.operation}${node.scope ? ` (at ${node.scope})` : ''} of [${node.inputs.map(({ shape }) => `[${shape}]`).join(', ')}]`;
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

function fillInputs({ lowered, inputOffsets, inputData, graph }: Compiled, inputs: NonNullable<RunOptions['inputs']>): void {
  const put = (key: string, data: NumberArray) => {
    new Uint8Array(inputData).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), inputOffsets.get(key)!);
  };
  for (const name of graph.inputs.keys()) if (inputOffsets.has(name)) put(name, inputs[name]!);
  for (const { input, height, starts, order } of lowered.sorted) {
    const rows = sortRows(inputs[input] as Int32Array, height);
    put(starts, rows.starts);
    put(order, rows.order);
  }
}
