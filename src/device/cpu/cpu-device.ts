import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { RlpaError } from '../../errors';
import { withoutTelemetry } from '../../telemetry';
import { type ElementType, type Graph, type Shape, sizeOf } from '../../tensor/index';
import { checkBufferData, checkedSeries } from '../checks';
import type { Device, DeviceBuffer, NumberArray, Program, RunOptions, SeriesOptions } from '../device';
import { lowerGraph } from './lower';
import type { Reply, Request, WorkerOptions } from './protocol';

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

/**
 * The CPU device: graphs are lowered to ONNX and run by onnxruntime in a worker thread, so that the caller's event loop stays free. It needs the
 * packages onnxruntime-node, which has the library, and koffi, which calls it; both are optional peers. `threads` defaults to the machine's cores.
 *
 * @example
 * const device = cpuDevice();
 * const program = await device.compile(graph);
 * const { y } = await device.run(program, { inputs: { x: Float32Array.of(1, 2) } });
 * await device.dispose();
 */
export function cpuDevice({ threads = availableParallelism() }: { readonly threads?: number } = {}): Device {
  return new CpuDevice(threads);
}

class CpuDevice implements Device {
  readonly kind = 'cpu';
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: unknown) => void }>();
  #count = 0;
  #ending = false;
  readonly #ended: Promise<void>;
  /** The first failure of a call that returns nothing; raised by the next call that can. */
  #failure: RlpaError | undefined;

  constructor(threads: number) {
    // the thread has a copy of the environment for itself; what onnxruntime reads is the process's
    withoutTelemetry();
    const path = createRequire(import.meta.url).resolve('#cpu-worker');
    // The program's own flags, such as --input-type or a loader, are not for the thread, which may not even start with them.
    this.#worker = new Worker(pathToFileURL(path), { workerData: { threads } satisfies WorkerOptions, execArgv: [] });
    this.#worker.on('message', (reply: Reply) => this.#settle(reply));
    this.#worker.on('error', (error) =>
      this.#fail(new RlpaError('device-failed', `The CPU device's thread failed: ${error.message}`, {}, { cause: error })),
    );
    this.#worker.on('exit', () => this.#fail(new RlpaError('device-failed', 'The CPU device was disposed of.')));
    this.#ended = new Promise((resolve) => this.#worker.on('exit', () => resolve()));
    this.#worker.unref(); // last: to listen to its messages counts as waiting for it
  }

  create(shape: Shape, type: ElementType, data?: NumberArray): DeviceBuffer {
    const buffer = { id: this.#count++, shape, type };
    checkBufferData(shape, data);
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
    this.#tell({ kind: 'release', buffers: [...buffers].map(({ id }) => id) });
  }

  async compile(graph: Graph): Promise<Program> {
    const program = { id: this.#count++, graph };
    // building the graph, translating it and sending it are turns of their own
    await setImmediate();
    const lowered = await lowerGraph(graph);
    await setImmediate();
    await this.#ask({ kind: 'compile', program: program.id, lowered, buffers: [...graph.buffers.keys()] });
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

  async dispose(): Promise<void> {
    // an idle thread does not keep the process alive, but its end is to be waited for, whatever is still answered until then
    this.#ending = true;
    this.#worker.ref();
    // it ends by itself, between two requests: a thread that is stopped within a call of onnxruntime takes the process along
    this.#worker.postMessage({ kind: 'end' } satisfies Request);
    await this.#ended;
  }

  #ask(request: WithoutId<Request>): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      // the thread keeps the process alive only while somebody waits for it
      if (this.#waiting.size === 0) this.#worker.ref();
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id } satisfies Request);
    });
  }

  #tell(request: WithoutId<Request>, transfer: ArrayBuffer[] = []): void {
    if (!this.#failure) this.#worker.postMessage(request satisfies Request, transfer);
  }

  #settle(reply: Reply): void {
    const failure = 'error' in reply ? failureOf(reply) : undefined;
    if (reply.id === undefined) {
      this.#failure ??= failure;
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0 && !this.#ending) this.#worker.unref();
    if ('error' in reply) waiting?.reject(failure);
    else waiting?.resolve(reply.result);
  }

  #fail(error: RlpaError): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** What `npm install` has to be told where not every version will do: of package.json's peers, the one that is pinned. */
const pinned: Readonly<Record<string, string>> = { 'onnxruntime-node': 'onnxruntime-node@1.30.0' };

function failureOf({ error, missingPackage, missingBytes: bytes }: Extract<Reply, { error: string }>): RlpaError {
  if (missingPackage === undefined) return new RlpaError('device-failed', error, bytes === undefined ? {} : { bytes, outOfMemory: true });
  const advice = `npm install ${pinned[missingPackage] ?? missingPackage}`;
  return new RlpaError('missing-dependency', `The CPU device needs the package ${missingPackage}: ${advice}`, { package: missingPackage });
}
