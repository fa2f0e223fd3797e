import { RlpaError } from '../../errors';
import { type ElementType, type Graph, type Shape, sizeOf } from '../../tensor/index';
import { checkBufferData, checkedSeries } from '../checks';
import type { Device, DeviceBuffer, NumberArray, Program, RunOptions, SeriesOptions } from '../device';
import { sharedBytes } from '../kernels/index';
import { Buffers, forData, paddedBytes, roundUp, usage } from './buffers';
import { type Launch, lowerGraph, type Value } from './lower';
import { Pipelines } from './pipelines';
import { alignment, Recording } from './recording';
import { RunTimes } from './run-times';
import { type Arithmetic, allows, type MethodOf, nameOf, single, type TileChoice, Tuner, type Tuning } from './tiles';

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
  /** In what precision matrix products multiply, and by what. */
  readonly arithmetic: Arithmetic;
  readonly counters: DeviceCounters;
  /** What was measured for the products of the programs that ran, with the option `tune`. */
  readonly tileChoices: readonly TileChoice[];
  /** Runs a program and says what each of its dispatches took. */
  profile(program: Program, options: RunOptions): Promise<DispatchTime[]>;
}

export interface WebGpuDeviceOptions {
  /** What was measured before, by the adapter's name. */
  readonly tuning?: Readonly<Record<string, Tuning>> | undefined;
  /**
   * Measure how to compute the products of a program when it first runs, which delays that run and what is asked for after it. Needs an adapter
   * with timestamps.
   */
  readonly tune?: boolean | undefined;
  /** Called with all that is known of the adapter after something was measured. */
  readonly onTuned?: ((adapter: string, tuning: Tuning) => void | Promise<void>) | undefined;
  /** To await a result keeps this thread busy, as in Node: so it is not awaited before it is nearly there. */
  readonly busyWaiting?: boolean | undefined;
}

/** Sets of buffers, such as a policy's and its reference's, that a program keeps its bindings for. */
const keptBindings = 6;
/** Runs with each tile, of which the fastest counts. */
const tuningRounds = 3;

/**
 * Runs graphs on a GPU through WebGPU, by kernels of our own. A program is recorded when it is compiled; a run writes its inputs, replays the
 * dispatches in one submit and reads its outputs back. Weights, moments and caches stay on the GPU.
 */
export class WebGpuDevice implements GpuDevice {
  readonly kind: 'webgpu' | 'webgpu-f16';
  readonly lanes = [];
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #tuner: Tuner;
  readonly #options: WebGpuDeviceOptions;
  readonly #runTimes: RunTimes | undefined;
  readonly #memory: Buffers;
  readonly #buffers = new Map<number, GPUBuffer>();
  readonly #programs = new Map<number, Recording>();
  readonly #identities = new WeakMap<GPUBuffer, number>();
  /** What programs compute in, largest first; shared by all, since they run one after the other. */
  readonly #scratch: GPUBuffer[] = [];
  /** Changes when scratch memory is made anew: bindings to the old one are void. */
  #generation = 0;
  #count = 0;
  #counters = { submits: 0, dispatches: 0, bindGroups: 0 };
  /** Programs that are measured before they run, and what was asked for meanwhile, one after the other; and how many there are of these. */
  #tuned: Promise<void> = Promise.resolve();
  #delayed = 0;
  #failure: RlpaError | undefined;
  /** An error that came out of itself. What was found out about its cause goes before it. */
  #complaint: RlpaError | undefined;

  readonly adapter: GpuDevice['adapter'];

  /** @param device with all limits that its adapter offers; it belongs to this object from now on */
  constructor(
    device: GPUDevice,
    options: WebGpuDeviceOptions = {},
    readonly arithmetic: Arithmetic = single,
  ) {
    this.#device = device;
    this.kind = arithmetic.precision === 'f16' ? 'webgpu-f16' : 'webgpu';
    const { vendor, architecture, description, isFallbackAdapter } = device.adapterInfo;
    this.adapter = {
      name: description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed',
      software: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software/i.test(`${architecture} ${description}`),
    };
    this.#pipelines = new Pipelines(device);
    this.#memory = new Buffers(device, (error) => this.#fail(error));
    this.#tuner = new Tuner(arithmetic, options.tuning?.[this.adapter.name]);
    this.#options = options;
    this.#runTimes = options.busyWaiting ? new RunTimes() : undefined;
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

  get tileChoices(): readonly TileChoice[] {
    return this.#tuner.choices;
  }

  create(shape: Shape, type: ElementType, data?: NumberArray): DeviceBuffer {
    checkBufferData(shape, data);
    this.#throwFailure();
    const buffer = { id: this.#count++, shape, type };
    const memory = this.#memory.take(4 * sizeOf(shape), `a buffer of shape [${shape}]`);
    this.#buffers.set(buffer.id, memory);
    // its memory is nobody's yet: it need not wait for what is measured
    if (data) this.#device.queue.writeBuffer(memory, 0, data as Float32Array<ArrayBuffer>);
    else this.#clear([buffer]);
    return buffer;
  }

  write(buffer: DeviceBuffer, data: NumberArray): void {
    checkBufferData(buffer.shape, data);
    const memory = this.#bufferOf(buffer);
    const given = this.#delayed > 0 ? data.slice() : data;
    this.#inTurn(() => this.#device.queue.writeBuffer(memory, 0, given as Float32Array<ArrayBuffer>));
  }

  clear(buffers: Iterable<DeviceBuffer>): void {
    const given = [...buffers];
    this.#inTurn(() => this.#clear(given));
  }

  /** Does it now, or once the programs have been measured that were to run before. */
  #inTurn(task: () => void): void {
    if (this.#delayed === 0) task();
    else void this.#afterTuning(async () => task()).catch((error) => this.#fail(error));
  }

  /** Appends to what is done in order once programs have been measured. */
  #afterTuning<T>(task: () => Promise<T>): Promise<T> {
    this.#delayed++;
    const result = this.#tuned.then(task);
    const settled = () => {
      this.#delayed--;
    };
    this.#tuned = result.then(settled, settled);
    return result;
  }

  #clear(buffers: Iterable<DeviceBuffer>): void {
    const encoder = this.#device.createCommandEncoder();
    for (const buffer of buffers) encoder.clearBuffer(this.#bufferOf(buffer));
    this.#submit(encoder);
  }

  async read(buffer: DeviceBuffer): Promise<NumberArray> {
    if (this.#delayed > 0) await this.#tuned;
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
    this.#inTurn(() => this.#copy(from, to));
  }

  #copy(from: DeviceBuffer, to: DeviceBuffer): void {
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#bufferOf(from), 0, this.#bufferOf(to), 0, 4 * sizeOf(from.shape));
    this.#submit(encoder);
  }

  swapRows(buffers: Iterable<DeviceBuffer>, one: number, other: number): void {
    const given = [...buffers];
    this.#inTurn(() => this.#swapRows(given, one, other));
  }

  #swapRows(buffers: readonly DeviceBuffer[], one: number, other: number): void {
    const encoder = this.#device.createCommandEncoder();
    const taken: GPUBuffer[] = [];
    for (const buffer of buffers) {
      const data = this.#bufferOf(buffer);
      const bytes = (4 * sizeOf(buffer.shape)) / buffer.shape[0]!;
      // a copy within one buffer is not allowed
      const between = this.#memory.take(2 * bytes, 'rows that are exchanged');
      taken.push(between);
      for (const [index, row] of [one, other].entries()) encoder.copyBufferToBuffer(data, row * bytes, between, index * bytes, bytes);
      for (const [index, row] of [other, one].entries()) encoder.copyBufferToBuffer(between, index * bytes, data, row * bytes, bytes);
    }
    this.#submit(encoder);
    for (const between of taken) this.#memory.give(between);
  }

  release(buffers: Iterable<DeviceBuffer>): void {
    const given = [...buffers];
    this.#inTurn(() => this.#release(given));
  }

  #release(buffers: readonly DeviceBuffer[]): void {
    for (const { id } of buffers) {
      const buffer = this.#buffers.get(id);
      if (buffer) this.#memory.give(buffer);
      this.#buffers.delete(id);
    }
  }

  async compile(graph: Graph): Promise<Program> {
    this.#throwFailure();
    const recording = await this.#record(this.#count++, graph, this.#tuner.methodOf);
    this.#programs.set(recording.id, recording);
    return recording;
  }

  async #record(id: number, graph: Graph, methodOf: MethodOf): Promise<Recording> {
    const { limits } = this.#device;
    const lowered = lowerGraph(graph, {
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
      bindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
      sharedBytes: limits.maxComputeWorkgroupStorageSize,
      methodOf,
    });
    for (const launch of lowered.launches) this.#check(launch);
    const pipelines = await Promise.all(lowered.launches.map((launch) => this.#pipelines.get(launch.call.kernel, describe(launch))));
    this.#throwFailure();
    this.#reserveScratch(lowered.slots);
    return new Recording(id, graph, lowered, pipelines, this.#memory);
  }

  async run(program: Program, { inputs = {}, buffers }: RunOptions): Promise<Record<string, NumberArray>> {
    const [outputs] = await this.runSeries(program, { inputs: [inputs], buffers });
    return outputs!;
  }

  async runSeries(program: Program, { inputs, buffers }: SeriesOptions): Promise<Record<string, NumberArray>[]> {
    this.#throwFailure();
    const bound = checkedSeries(program, { inputs, buffers });
    if (inputs.length === 0) return [];
    const begin = () => {
      const recording = this.#recordingOf(program);
      const stagings = inputs.map((each) => this.#begin(recording, bound, each));
      return { recording, stagings, whenNearlyOver: this.#runTimes?.submitted(recording, inputs.length) };
    };
    const tuned = async () => {
      await this.#tune(this.#recordingOf(program), bound, { inputs: inputs[0] });
      return begin();
    };
    const { recording, stagings, whenNearlyOver } = this.#options.tune ? await this.#afterTuning(tuned) : begin();
    const read = () => Promise.all(stagings.map((staging) => this.#outputsOf(recording, staging)));
    return whenNearlyOver ? whenNearlyOver(read) : read();
  }

  /** Submits a run. → where its outputs are copied to, if it has any. */
  #begin(recording: Recording, bound: ReadonlyMap<string, DeviceBuffer>, inputs: SeriesOptions['inputs'][number]): GPUBuffer | undefined {
    const { lowered, outputBytes } = recording;
    const groups = this.#bindGroups(recording, bound);
    recording.writeInputs(inputs);
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const [index, group] of groups.entries()) recording.dispatch(pass, index, group);
    pass.end();
    this.#counters.dispatches += groups.length;
    const staging = outputBytes > 0 ? recording.takeStaging() : undefined;
    if (staging) {
      for (const [name, { value, tensor }] of lowered.outputs) {
        const [buffer, offset] = this.#placeOf(recording, bound, value);
        encoder.copyBufferToBuffer(buffer, offset, staging, recording.outputOffsets.get(name)!, 4 * sizeOf(tensor.shape));
      }
    }
    this.#submit(encoder);
    return staging;
  }

  async #outputsOf(recording: Recording, staging: GPUBuffer | undefined): Promise<Record<string, NumberArray>> {
    if (!staging) {
      await this.#device.queue.onSubmittedWorkDone();
      await this.#memory.granted();
      this.#throwFailure();
      return {};
    }
    const data = await this.#mapped(staging, recording.outputBytes);
    recording.giveStaging(staging);
    return recording.outputsFrom(data);
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
    const { inputs = {}, buffers } = options;
    return this.#times(this.#recordingOf(program), checkedSeries(program, { inputs: [inputs], buffers }), options);
  }

  async #times(recording: Recording, bound: ReadonlyMap<string, DeviceBuffer>, options: RunOptions): Promise<DispatchTime[]> {
    const groups = this.#bindGroups(recording, bound);
    recording.writeInputs(options.inputs ?? {});
    const { launches } = recording.lowered;
    const bytes = 16 * launches.length;
    const times = this.#device.createQuerySet({ type: 'timestamp', count: 2 * launches.length });
    const resolved = this.#memory.create(bytes, usage.queryResolve | usage.copySource, 'the times of a program');
    const staging = this.#memory.create(bytes, usage.mapRead | usage.copyTarget, 'the times of a program');
    try {
      const encoder = this.#device.createCommandEncoder();
      for (const [index, group] of groups.entries()) {
        const timestampWrites = { querySet: times, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 };
        const pass = encoder.beginComputePass({ timestampWrites });
        recording.dispatch(pass, index, group);
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

  /**
   * Measures the products of a program whose kind is not known yet: the whole step is run with one tile after the other, on copies of what it
   * changes, and each product keeps the tile that was fastest at its place.
   */
  async #tune(recording: Recording, bound: ReadonlyMap<string, DeviceBuffer>, options: RunOptions): Promise<void> {
    const { graph, lowered } = recording;
    const isOpen = ({ product }: Launch) => product !== undefined && !this.#tuner.isKnown(product);
    if (!lowered.launches.some(isOpen) || !this.#device.features.has('timestamp-query')) return;
    const changed = new Set([...graph.assignments.keys(), ...graph.appends.map(({ buffer }) => buffer)]);
    const copies = new Map(
      [...bound].filter(([name]) => changed.has(name)).map(([name, { shape, type }]) => [name, this.create(shape, type)]),
    );
    const measured = new Map<string, Map<string, number>>();
    for (const tile of this.#tuner.methods) {
      const chosen: MethodOf = (shape) => (!this.#tuner.isKnown(shape) && allows(shape, tile) ? tile : this.#tuner.methodOf(shape));
      // a tile that this GPU has no room for is no candidate
      const trial = await this.#record(this.#count++, graph, chosen).catch(() => undefined);
      this.#throwFailure();
      if (!trial) continue;
      for (let round = 0; round < tuningRounds; round++) {
        const times = await this.#times(trial, new Map([...bound, ...copies]), options);
        for (const [index, launch] of trial.lowered.launches.entries()) {
          if (!isOpen(launch) || !allows(launch.product!, tile)) continue;
          const products = this.#tuner.classOf(launch.product!);
          const known = measured.get(products) ?? new Map<string, number>();
          known.set(nameOf(tile), Math.min(known.get(nameOf(tile)) ?? Number.POSITIVE_INFINITY, times[index]!.milliseconds));
          measured.set(products, known);
        }
      }
      trial.release();
    }
    this.#release([...copies.values()]);
    this.#tuner.settle(measured);
    await this.#options.onTuned?.(this.adapter.name, this.#tuner.tuning);
    recording.release();
    this.#programs.set(recording.id, await this.#record(recording.id, graph, this.#tuner.methodOf));
  }

  discard(program: Program): void {
    this.#programs.get(program.id)?.release();
    this.#programs.delete(program.id);
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

  #bindGroups(recording: Recording, bound: ReadonlyMap<string, DeviceBuffer>): readonly GPUBindGroup[] {
    const key = [...bound.values()].map((buffer) => this.#identity(this.#bufferOf(buffer))).join(' ');
    const known = recording.bindings.get(key);
    if (known && known.generation === this.#generation) return known.groups;
    const groups = recording.lowered.launches.map(({ call: { kernel }, uses }, index) => {
      const uniforms = { buffer: recording.uniforms, offset: index * alignment, size: roundUp(4 * (kernel.uniforms.length + 1), 16) };
      return this.#device.createBindGroup({
        label: kernel.name,
        layout: recording.pipelines[index]!.layout,
        entries: [
          { binding: 0, resource: uniforms },
          ...uses.map(({ value, offset = 0, bytes = value.bytes }, place) => {
            const [buffer, start] = this.#placeOf(recording, bound, value);
            return { binding: place + 1, resource: { buffer, offset: start + offset, size: paddedBytes(bytes) } };
          }),
        ],
      });
    });
    this.#counters.bindGroups += groups.length;
    recording.bindings.delete(key);
    recording.bindings.set(key, { generation: this.#generation, groups });
    if (recording.bindings.size > keptBindings) recording.bindings.delete(recording.bindings.keys().next().value!);
    return groups;
  }

  #placeOf(recording: Recording, bound: ReadonlyMap<string, DeviceBuffer>, { place, slot }: Value): [GPUBuffer, number] {
    switch (place.kind) {
      case 'buffer':
        return [this.#bufferOf(bound.get(place.name)!), 0];
      case 'input':
        return [recording.inputs!, recording.inputOffsets.get(place.key)!];
      case 'constant':
        return [recording.constants!, recording.constantOffsets[place.index]!];
      case 'scratch':
        return [this.#scratch[slot!]!, 0];
    }
  }

  #recordingOf({ id }: Program): Recording {
    const recording = this.#programs.get(id);
    if (!recording) throw new RlpaError('device-failed', 'This program was discarded.');
    return recording;
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
    const checks: readonly [string, number, number][] = [
      ['threads a workgroup', kernel.threads, limits.maxComputeInvocationsPerWorkgroup],
      ['bytes of workgroup memory', sharedBytes(kernel), limits.maxComputeWorkgroupStorageSize],
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
