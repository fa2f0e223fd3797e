import { parentPort, workerData } from 'node:worker_threads';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { NumberArray } from '../device';
import type { LoweredGraph } from './lower';
import type { Reply, Request, WorkerOptions } from './protocol';

/**
 * The CPU device's thread: owns all buffers and runs onnxruntime, whose calls block the thread they are made on.
 * Buffers are plain arrays: a program reads them in place, and what it assigns replaces them.
 */
const { threads } = workerData as WorkerOptions;
const buffers = new Map<number, NumberArray>();
/** Buffers as the runtime takes them: a step reads hundreds of weights, most of them the same as in the step before. */
const tensors = new Map<number, Tensor>();
const programs = new Map<number, { session: InferenceSession; lowered: LoweredGraph; bufferNames: readonly string[] }>();
let runtime: typeof import('onnxruntime-node') | undefined;

async function loadRuntime(): Promise<typeof import('onnxruntime-node')> {
  runtime ??= await import('onnxruntime-node');
  return runtime;
}

function buffer(id: number): NumberArray {
  const data = buffers.get(id);
  if (!data) throw new Error(`Buffer ${id} was released.`);
  return data;
}

function setBuffer(id: number, data: NumberArray): void {
  buffers.set(id, data);
  tensors.delete(id);
}

async function serve(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'create':
      setBuffer(request.buffer, request.data ?? (request.type === 'f32' ? new Float32Array(request.size) : new Int32Array(request.size)));
      return undefined;
    case 'write':
      buffer(request.buffer);
      setBuffer(request.buffer, request.data);
      return undefined;
    case 'clear':
      for (const id of request.buffers) {
        const old = buffer(id);
        setBuffer(id, old instanceof Float32Array ? new Float32Array(old.length) : new Int32Array(old.length));
      }
      return undefined;
    case 'read':
      return buffer(request.buffer).slice();
    case 'copy':
      buffer(request.to);
      setBuffer(request.to, buffer(request.from).slice());
      return undefined;
    case 'release':
      for (const id of request.buffers) {
        buffers.delete(id);
        tensors.delete(id);
      }
      return undefined;
    case 'compile': {
      const { InferenceSession } = await loadRuntime();
      const session = await InferenceSession.create(request.lowered.model, {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: 'all',
        // An arena a session keeps what its largest run needed: with a program a shape that is gigabytes, for a few per cent of speed.
        enableCpuMemArena: false,
        enableMemPattern: false,
        logSeverityLevel: 3,
        // numbers below 1e-38, as softmax gives them for what is masked, cost a hundred times what others do
        extra: { session: { intra_op: { allow_spinning: '0' }, set_denormal_as_zero: '1' } },
      });
      programs.set(request.program, { session, lowered: request.lowered, bufferNames: request.buffers });
      return undefined;
    }
    case 'run':
      return run(request);
    case 'discard':
      await programs.get(request.program)?.session.release();
      programs.delete(request.program);
      return undefined;
    case 'end':
      return process.exit();
  }
}

async function run(request: Extract<Request, { kind: 'run' }>): Promise<Record<string, NumberArray>> {
  const { Tensor } = await loadRuntime();
  const program = programs.get(request.program);
  if (!program) throw new Error(`Program ${request.program} was discarded.`);
  const { session, lowered, bufferNames } = program;
  const bound = new Map(bufferNames.map((name, i) => [name, request.buffers[i]!]));
  const feeds: Record<string, Tensor> = {};
  const tensor = (data: NumberArray, shape: readonly number[]): Tensor =>
    data instanceof Float32Array ? new Tensor('float32', data, shape) : new Tensor('int32', data, shape);
  for (const [name, onnxName] of Object.entries(lowered.inputs)) feeds[onnxName] = tensor(request.inputs[name]!, lowered.shapes[name]!);
  for (const [name, onnxName] of Object.entries(lowered.buffers)) {
    const id = bound.get(name)!;
    const shape = lowered.shapes[name]!;
    let known = tensors.get(id);
    if (!known || String(known.dims) !== String(shape)) {
      known = tensor(buffer(id), shape);
      tensors.set(id, known);
    }
    feeds[onnxName] = known;
  }
  const results = await session.run(feeds);
  const data = (onnxName: string) => results[onnxName]!.data as NumberArray;
  for (const { buffer: name, value, offsets, counts } of lowered.appends) {
    appendRows(
      buffer(bound.get(name)!),
      lowered.shapes[name]!,
      data(value),
      lowered.shapes[value]!,
      request.inputs[offsets]!,
      request.inputs[counts]!,
    );
  }
  for (const [name, onnxName] of Object.entries(lowered.assignments)) setBuffer(bound.get(name)!, data(onnxName));
  return Object.fromEntries(Object.entries(lowered.outputs).map(([name, onnxName]) => [name, data(onnxName)]));
}

/** Writes new rows value [B·S, heads·size] to the cache [B, heads, capacity, size] at each row's offset. */
function appendRows(
  cache: NumberArray,
  cacheShape: readonly number[],
  value: NumberArray,
  valueShape: readonly number[],
  offsets: NumberArray,
  counts: NumberArray,
): void {
  const [batch, heads, capacity, size] = cacheShape as [number, number, number, number];
  const length = valueShape[0]! / batch;
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < heads; head++) {
      let target = ((b * heads + head) * capacity + offsets[b]!) * size;
      let source = (b * length * heads + head) * size;
      for (let s = 0; s < counts[b]!; s++, target += size, source += heads * size) {
        cache.set(value.subarray(source, source + size) as never, target);
      }
    }
  }
}

let queue: Promise<void> = Promise.resolve();
parentPort!.on('message', (request: Request) => {
  queue = queue.then(async () => {
    let reply: Reply;
    try {
      const result = await serve(request);
      if (request.id === undefined) return;
      reply = { id: request.id, result };
    } catch (error) {
      const missingPackage = (error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND';
      reply = { id: request.id, error: error instanceof Error ? error.message : String(error), missingPackage };
    }
    const transfer = 'result' in reply ? transferable(reply.result, request) : [];
    parentPort!.postMessage(reply, transfer);
  });
});

/** What was read is moved, not copied; outputs of a run may be buffers too and stay. */
function transferable(result: unknown, request: Request): ArrayBuffer[] {
  if (request.kind === 'read') return [(result as NumberArray).buffer as ArrayBuffer];
  return [];
}
