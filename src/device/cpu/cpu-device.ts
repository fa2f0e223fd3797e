import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { checkKnown, type RlpaError } from '../../errors';
import { withoutTelemetry } from '../../telemetry';
import { type ElementType, type Graph, type Shape, sizeOf } from '../../tensor/index';
import { checkBufferData, checkedSeries } from '../checks';
import type { CompileOptions, Device, DeviceBuffer, DeviceLane, NumberArray, Program, RunOptions, SeriesOptions } from '../device';
import { lowerGraph } from './lower';
import type { Progress } from './protocol';
import { type Call, Thread, type ThreadOwner } from './thread';

/**
 * The CPU device: graphs are lowered to ONNX and run by onnxruntime in worker threads, so that the caller's event loop stays free. It needs the
 * packages onnxruntime-node, which has the library, and koffi, which calls it; both are optional peers. `threads` defaults to the machine's cores.
 *
 * @example
 * import { LocalPolicy } from 'rlpa';
 * import { cpuDevice } from 'rlpa/node';
 * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { device: cpuDevice({ threads: 4 }) });
 * await policy.dispose(); // and its device
 */
export function cpuDevice(options: { readonly threads?: number } = {}): Device {
  checkKnown('cpuDevice', options, { threads: true });
  return new CpuDevice(options.threads ?? availableParallelism());
}

/** So many lanes at most: each computes for texts of its own, and a product of few rows takes as long as one of more. */
const mostLanes = 4;
/** So many buffers at a time at most; memory is used for those that there are. */
const mostBuffers = 2 ** 20;

/** The threads that the lanes of a device have each for themselves, started when they are first used, and the order between them. */
class Threads implements ThreadOwner {
  readonly #threads = new Map<number, Thread>();
  readonly #served = new Int32Array(new SharedArrayBuffer(4 * mostLanes));
  readonly #addresses = new BigUint64Array(new SharedArrayBuffer(8 * mostBuffers));
  readonly #first: Thread;
  /** Where the first was after what was asked of the device last, rather than of a lane. */
  #common: Progress;
  #programs = 0;
  readonly #buffers = new Map<number, DeviceBuffer>();
  readonly #freeIds: number[] = [];
  /** The first failure of a thread, or of a call that returns nothing; raised by the next call that can. */
  #failure: RlpaError | undefined;

  constructor() {
    this.#first = this.#start(0);
    this.#common = this.#first.progress;
  }

  /** What is asked of no lane waits for all of them, and they for it. */
  ask(call: Call, lane?: number): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    return this.#inOrder(lane, (thread, after) => thread.ask({ ...call, after }));
  }

  /** @param transfer is handed over */
  tell(call: Call, lane?: number, transfer?: ArrayBuffer[]): void {
    if (!this.#failure) this.#inOrder(lane, (thread, after) => thread.tell({ ...call, after }, transfer));
  }

  newProgram(): number {
    return this.#programs++;
  }

  newBuffer(shape: Shape, type: ElementType): DeviceBuffer {
    const buffer = { id: this.#freeIds.pop() ?? this.#buffers.size, shape, type };
    this.#buffers.set(buffer.id, buffer);
    return buffer;
  }

  /** Its number is given again. → whether it was there: who releases a buffer twice does not release another */
  forget(buffer: DeviceBuffer): boolean {
    if (this.#buffers.get(buffer.id) !== buffer) return false;
    this.#buffers.delete(buffer.id);
    this.#freeIds.push(buffer.id);
    return true;
  }

  refuse(error: RlpaError): void {
    this.#failure ??= error;
  }

  fail(error: RlpaError): void {
    this.refuse(error);
    for (const thread of this.#threads.values()) thread.fail(error);
  }

  async end(): Promise<void> {
    // they read what is the first one's
    await Promise.all(this.#others.map((thread) => thread.end()));
    await this.#first.end();
  }

  get #others(): Thread[] {
    return [...this.#threads.values()].filter((thread) => thread !== this.#first);
  }

  #inOrder<T>(lane: number | undefined, post: (thread: Thread, after?: readonly Progress[]) => T): T {
    if (lane === 0) return post(this.#first);
    if (lane !== undefined) {
      const thread = this.#threads.get(lane) ?? this.#startAnother(lane);
      return post(thread, [this.#common]);
    }
    const others = this.#others.map(({ progress }) => progress);
    const result = post(this.#first, others);
    this.#common = this.#first.progress;
    return result;
  }

  #startAnother(lane: number): Thread {
    if (this.#threads.size === 1) this.tell({ kind: 'publish' });
    return this.#start(lane);
  }

  #start(lane: number): Thread {
    // a thread has a copy of the environment for itself; what onnxruntime reads is the process's
    withoutTelemetry();
    const thread = new Thread({ thread: lane, served: this.#served, addresses: this.#addresses }, this);
    this.#threads.set(lane, thread);
    return thread;
  }
}

class CpuLane implements DeviceLane {
  readonly kind = 'cpu';
  protected readonly threads: Threads;
  readonly #lane: number | undefined;
  readonly #cores: number;
  readonly #share: number;

  /**
   * @param cores that compute what is run here
   * @param share of them, while the other lanes compute as well
   */
  constructor(threads: Threads, cores: number, share: number, lane?: number) {
    this.threads = threads;
    this.#cores = cores;
    this.#share = share;
    this.#lane = lane;
  }

  create(shape: Shape, type: ElementType, data?: NumberArray): DeviceBuffer {
    checkBufferData(shape, data);
    const buffer = this.threads.newBuffer(shape, type);
    this.#tell({ kind: 'create', buffer: buffer.id, type, size: sizeOf(shape), data });
    return buffer;
  }

  write(buffer: DeviceBuffer, data: NumberArray, { transfer = false }: { readonly transfer?: boolean } = {}): void {
    checkBufferData(buffer.shape, data);
    this.#tell({ kind: 'write', buffer: buffer.id, data }, transfer ? [data.buffer as ArrayBuffer] : []);
  }

  clear(buffers: Iterable<DeviceBuffer>): void {
    this.#tell({ kind: 'clear', buffers: [...buffers].map(({ id }) => id) });
  }

  async read(buffer: DeviceBuffer): Promise<NumberArray> {
    return (await this.#ask({ kind: 'read', buffer: buffer.id })) as NumberArray;
  }

  copy(from: DeviceBuffer, to: DeviceBuffer): void {
    this.#tell({ kind: 'copy', from: from.id, to: to.id });
  }

  swapRows(buffers: Iterable<DeviceBuffer>, one: number, other: number): void {
    this.#tell({ kind: 'swap', buffers: Array.from(buffers, ({ id, shape }) => ({ id, rows: shape[0]! })), one, other });
  }

  release(buffers: Iterable<DeviceBuffer>): void {
    const released = [...buffers].filter((buffer) => this.threads.forget(buffer));
    this.#tell({ kind: 'release', buffers: released.map(({ id }) => id) });
  }

  async compile(graph: Graph, { beside = false }: CompileOptions = {}): Promise<Program> {
    const program = { id: this.threads.newProgram(), graph };
    // building the graph, translating it and sending it are turns of their own
    await setImmediate();
    const lowered = await lowerGraph(graph);
    await setImmediate();
    const threads = beside ? this.#share : this.#cores;
    await this.#ask({ kind: 'compile', program: program.id, lowered, buffers: [...graph.buffers.keys()], threads });
    return program;
  }

  async run(program: Program, { inputs = {}, buffers }: RunOptions): Promise<Record<string, NumberArray>> {
    const [outputs] = await this.runSeries(program, { inputs: [inputs], buffers });
    return outputs!;
  }

  async runSeries(program: Program, options: SeriesOptions): Promise<Record<string, NumberArray>[]> {
    const bound = checkedSeries(program, options);
    const buffers = Int32Array.from(bound.values(), ({ id }) => id);
    return (await this.#ask({ kind: 'run', program: program.id, inputs: options.inputs, buffers })) as Record<string, NumberArray>[];
  }

  discard(program: Program): void {
    this.#tell({ kind: 'discard', program: program.id });
  }

  #ask(call: Call): Promise<unknown> {
    return this.threads.ask(call, this.#lane);
  }

  #tell(call: Call, transfer?: ArrayBuffer[]): void {
    this.threads.tell(call, this.#lane, transfer);
  }
}

class CpuDevice extends CpuLane implements Device {
  readonly lanes: readonly DeviceLane[];

  constructor(cores: number) {
    const threads = new Threads();
    const count = Math.min(cores, mostLanes);
    const share = Math.floor(cores / count);
    super(threads, cores, share);
    this.lanes = count < 2 ? [] : Array.from({ length: count }, (_, lane) => new CpuLane(threads, cores, share, lane));
  }

  async dispose(): Promise<void> {
    await this.threads.end();
  }
}
