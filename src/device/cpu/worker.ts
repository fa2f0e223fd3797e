import { parentPort, workerData } from 'node:worker_threads';
import { type ElementType, sizeOf } from '../../tensor/index';
import type { NumberArray } from '../device';
import type { LoweredGraph, Port } from './lower';
import { DeviceMemory } from './memory';
import { fixedArray, MissingPackage, OnnxRuntime, type OnnxSession, type OnnxValue, OutOfMemory, type Pointer } from './onnxruntime';
import type { Progress, Reply, Request, WorkerOptions } from './protocol';

/**
 * A thread of the CPU device: owns the buffers that were made on it, reads those of the first, and runs onnxruntime, whose calls block the thread
 * they are made on.
 */
const { thread, served, addresses } = workerData as WorkerOptions;
type RunRequest = Extract<Request, { kind: 'run' }>;
const buffers = new Map<number, DeviceMemory>();
/** Those of another thread, as they were found. */
const foreign = new Map<number, { readonly address: Pointer; readonly type: ElementType; readonly memory: DeviceMemory }>();
/** Once the other threads are to find this one's buffers: what says where they are. */
let publisher: OnnxRuntime | undefined;
/** Buffers for which there was no memory: nobody waits for their creation, and whoever uses one is told. */
const missing = new Map<number, OutOfMemory>();

interface Program {
  readonly session: OnnxSession;
  readonly lowered: LoweredGraph;
  /** What a run's inputs are copied to, and where its outputs are found. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Where a run names each buffer. */
  readonly placeOf: ReadonlyMap<string, number>;
}
const programs = new Map<number, Program>();
let opening: Promise<OnnxRuntime> | undefined;

/** Loaded when the first program is compiled: buffers alone need none. */
function openRuntime(): Promise<OnnxRuntime> {
  opening ??= OnnxRuntime.open().catch((error) => {
    opening = undefined;
    throw error;
  });
  return opening;
}

function buffer(id: number): DeviceMemory {
  const found = buffers.get(id);
  if (!found) throw missing.get(id) ?? new Error(`Buffer ${id} was released.`);
  return found;
}

/** What a run finds in the place of a buffer: its thread's own, or another's. */
function bound(runtime: OnnxRuntime, id: number, { type, shape }: Pick<Port, 'type' | 'shape'>): DeviceMemory {
  const address = addresses[id]!;
  if (buffers.has(id) || address === 0n) return buffer(id);
  const size = sizeOf(shape);
  const known = foreign.get(id);
  if (known?.address === address && known.type === type && known.memory.data.length === size) return known.memory;
  known?.memory.release();
  const memory = new DeviceMemory(runtime.numbersAt(address, type, size));
  foreign.set(id, { address, type, memory });
  return memory;
}

/** Other threads, if they are to, find the buffer where it is now. */
function publish(id: number): void {
  if (publisher) addresses[id] = buffers.has(id) ? publisher.addressOf(buffer(id).data) : 0n;
}

async function serve(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'create':
      create(request);
      publish(request.buffer);
      return undefined;
    case 'write':
      buffer(request.buffer).replace(request.data);
      publish(request.buffer);
      return undefined;
    case 'clear':
      for (const id of request.buffers) buffer(id).data.fill(0);
      return undefined;
    case 'read':
      return buffer(request.buffer).data.slice();
    case 'copy':
      buffer(request.to).data.set(buffer(request.from).data);
      return undefined;
    case 'swap':
      for (const { id, rows } of request.buffers) swapRows(buffer(id).data, rows, request.one, request.other);
      return undefined;
    case 'release':
      for (const id of request.buffers) {
        buffers.get(id)?.release();
        buffers.delete(id);
        missing.delete(id);
        publish(id);
      }
      return undefined;
    case 'compile':
      programs.set(request.program, compile(await openRuntime(), request));
      return undefined;
    case 'run':
      return runSeries(await openRuntime(), request);
    case 'discard':
      discard(request.program);
      return undefined;
    case 'publish':
      publisher = await openRuntime();
      for (const id of buffers.keys()) publish(id);
      return undefined;
    case 'end':
      try {
        // the library's threads have to be gone before the library is
        for (const id of programs.keys()) discard(id);
        for (const memory of buffers.values()) memory.release();
        for (const { memory } of foreign.values()) memory.release();
        (await opening)?.close();
      } finally {
        finished();
        process.exit();
      }
  }
}

function create({ buffer: id, type, size, data }: Extract<Request, { kind: 'create' }>): void {
  try {
    buffers.set(id, new DeviceMemory(data ?? fixedArray(type, size)));
  } catch (error) {
    if (!(error instanceof OutOfMemory)) throw error;
    missing.set(id, error);
  }
}

function compile(runtime: OnnxRuntime, { lowered, buffers: names, threads }: Extract<Request, { kind: 'compile' }>): Program {
  const { model, inputs, outputs, appends, assignments, inPlace } = lowered;
  const written = [...outputs, ...appends.map(({ value }) => value), ...assignments, ...inPlace];
  const onnxNames = (ports: readonly Port[]) => ports.map(({ onnxName }) => onnxName);
  const session = runtime.session({
    model,
    threads: lowered.parallel ? threads : 1,
    inputs: onnxNames([...inputs, ...lowered.buffers]),
    outputs: onnxNames(written),
  });
  const values = (ports: readonly Port[]) => ports.map(({ shape, type }) => runtime.value(fixedArray(type, sizeOf(shape)), shape));
  const program = {
    session,
    // it is not needed any more, and large
    lowered: { ...lowered, model: new Uint8Array() },
    inputs: values(inputs),
    outputs: values(outputs),
    placeOf: new Map(names.map((name, place) => [name, place])),
  };
  for (const [index, { pointer }] of program.inputs.entries()) session.inputs[index] = pointer;
  for (const [index, { pointer }] of program.outputs.entries()) session.outputs[index] = pointer;
  return program;
}

function discard(id: number): void {
  const program = programs.get(id);
  if (!program) return;
  programs.delete(id);
  program.session.release();
  for (const value of [...program.inputs, ...program.outputs]) value.release();
}

/** All runs of a series, whose outputs are copied: the next run writes over them. */
function runSeries(runtime: OnnxRuntime, { program: id, inputs, buffers: ids }: RunRequest): Record<string, NumberArray>[] {
  const program = programs.get(id);
  if (!program) throw new Error(`Program ${id} was discarded.`);
  const { lowered } = program;
  const outputs: Record<string, NumberArray>[] = [];
  for (const given of inputs) {
    run(runtime, program, given, ids);
    outputs.push(Object.fromEntries(lowered.outputs.map(({ name }, place) => [name, program.outputs[place]!.data.slice()])));
  }
  return outputs;
}

function run(runtime: OnnxRuntime, program: Program, given: Readonly<Record<string, NumberArray>>, ids: Int32Array): void {
  const { session, lowered, inputs, outputs, placeOf } = program;
  const idOf = (name: string) => ids[placeOf.get(name)!]!;
  for (const [index, { name }] of lowered.inputs.entries()) inputs[index]!.data.set(given[name]!);
  for (const [index, port] of lowered.buffers.entries()) {
    session.inputs[inputs.length + index] = bound(runtime, idOf(port.name), port).pointer(runtime, port.shape);
  }
  const firstAppend = outputs.length;
  const firstAssignment = firstAppend + lowered.appends.length;
  const firstInPlace = firstAssignment + lowered.assignments.length;
  // what it makes anew
  session.outputs.fill(0n, firstAppend, firstInPlace);
  for (const [index, { name, shape, offsets }] of lowered.inPlace.entries()) {
    checkRoom(name, given[offsets]!, shape);
    session.outputs[firstInPlace + index] = buffer(idOf(name)).pointer(runtime, shape);
  }
  const assigned = lowered.assignments.map(({ name }) => buffer(idOf(name)));
  const appended = lowered.appends.map(({ buffer: name }) => buffer(idOf(name)));
  session.run();
  for (const [index, { cache, value, offsets, counts, rows }] of lowered.appends.entries()) {
    const entries = runtime.adopt(session.outputs[firstAppend + index]!, value.type, sizeOf(value.shape));
    appendEntries(
      appended[index]!.data,
      cache,
      entries.data,
      given[offsets]!,
      given[counts]!,
      rows === undefined ? undefined : given[rows],
    );
    entries.release();
  }
  for (const [index, { name, type, shape }] of lowered.assignments.entries()) {
    const value = runtime.adopt(session.outputs[firstAssignment + index]!, type, sizeOf(shape));
    const memory = assigned[index]!;
    if (memory.data.length === value.data.length) {
      memory.adopt(value, shape);
      publish(idOf(name));
    } else {
      // the first rows of more
      memory.data.set(value.data);
      value.release();
    }
  }
}

function swapRows(data: NumberArray, rows: number, one: number, other: number): void {
  const size = data.length / rows;
  const [a, b] = [data.subarray(one * size, (one + 1) * size), data.subarray(other * size, (other + 1) * size)];
  const kept = a.slice();
  a.set(b);
  b.set(kept);
}

/** @throws if a row is full already: the operator would write behind it */
function checkRoom(name: string, offsets: NumberArray, [, , capacity]: readonly number[]): void {
  const row = offsets.findIndex((offset) => !(offset >= 0 && offset < capacity!));
  if (row >= 0) throw new Error(`Row ${row} of ${name} has no entry ${offsets[row]}, but ${capacity}.`);
}

/** Writes the first entries of value [B·S, heads·size] to the cache [rows, heads, capacity, size], from each row's offset on. */
function appendEntries(
  cache: NumberArray,
  cacheShape: readonly number[],
  value: NumberArray,
  offsets: NumberArray,
  counts: NumberArray,
  rows?: NumberArray,
): void {
  const [, heads, capacity, size] = cacheShape as [number, number, number, number];
  const [batch, width] = [offsets.length, heads * size];
  const length = value.length / (batch * width);
  for (let b = 0; b < batch; b++) {
    const row = rows === undefined ? b : rows[b]!;
    // entries of a single head stand behind each other here and there
    const [pieces, pieceSize] = heads === 1 ? [1, counts[b]! * size] : [counts[b]!, size];
    for (let head = 0; head < heads; head++) {
      let target = ((row * heads + head) * capacity + offsets[b]!) * size;
      let source = (b * length * heads + head) * size;
      for (let piece = 0; piece < pieces; piece++, target += size, source += width) {
        cache.set(value.subarray(source, source + pieceSize) as never, target);
      }
    }
  }
}

/** Blocks until another thread has come so far. */
function waitFor({ thread: other, served: count }: Progress): void {
  for (;;) {
    const now = Atomics.load(served, other);
    // both start again at -2^31
    if (((now - count) | 0) >= 0) return;
    Atomics.wait(served, other, now);
  }
}

function finished(): void {
  Atomics.add(served, thread, 1);
  Atomics.notify(served, thread);
}

async function answer(request: Request): Promise<void> {
  let reply: Reply;
  try {
    for (const progress of request.after ?? []) waitFor(progress);
    const result = await serve(request);
    if (request.id === undefined) return;
    reply = { id: request.id, result };
  } catch (error) {
    reply = {
      id: request.id,
      error: error instanceof Error ? error.message : String(error),
      ...(error instanceof MissingPackage && { missingPackage: error.packageName }),
      ...(error instanceof OutOfMemory && { missingBytes: error.bytes }),
    };
  } finally {
    finished();
  }
  parentPort!.postMessage(reply, 'result' in reply && request.kind === 'read' ? [(reply.result as NumberArray).buffer as ArrayBuffer] : []);
}

let queue: Promise<void> = Promise.resolve();
parentPort!.on('message', (request: Request) => {
  queue = queue.then(() => answer(request));
});
