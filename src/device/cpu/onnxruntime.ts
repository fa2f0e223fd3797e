import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ElementType, Shape } from '../../tensor/index';
import type { NumberArray } from '../device';

/** An address in this process's memory. */
export type Pointer = bigint;

const nowhere: Pointer = 0n;

/** The version of the C API that is asked for: the functions below have been in it since, and later libraries still give it. */
const apiVersion = 18;

/**
 * What is called of `OrtApi` (onnxruntime_c_api.h): a function's place in that table, which only ever grows at its end, and its parameters.
 * `out` is a pointer that the call gives back.
 */
const functions = {
  GetErrorMessage: [2, 'void *'],
  CreateEnv: [3, 'int', 'str', 'out'],
  CreateSessionFromArray: [8, 'void *', 'void *', 'size_t', 'void *', 'out'],
  Run: [9, 'void *', 'void *', 'void *', 'void *', 'size_t', 'void *', 'size_t', 'void *'],
  CreateSessionOptions: [10, 'out'],
  DisableMemPattern: [17, 'void *'],
  DisableCpuMemArena: [19, 'void *'],
  SetSessionLogSeverityLevel: [22, 'void *', 'int'],
  SetSessionGraphOptimizationLevel: [23, 'void *', 'int'],
  SetIntraOpNumThreads: [24, 'void *', 'int'],
  SetInterOpNumThreads: [25, 'void *', 'int'],
  CreateTensorWithDataAsOrtValue: [49, 'void *', 'void *', 'size_t', 'void *', 'size_t', 'int', 'out'],
  GetTensorMutableData: [51, 'void *', 'out'],
  CreateCpuMemoryInfo: [69, 'int', 'int', 'out'],
  ReleaseEnv: [92, 'void *'],
  ReleaseStatus: [93, 'void *'],
  ReleaseMemoryInfo: [94, 'void *'],
  ReleaseSession: [95, 'void *'],
  ReleaseValue: [96, 'void *'],
  ReleaseSessionOptions: [100, 'void *'],
  AddSessionConfigEntry: [130, 'void *', 'str', 'str'],
  CreateAndRegisterAllocator: [144, 'void *', 'void *', 'void *'],
  ReleaseArenaCfg: [157, 'void *'],
  CreateArenaCfgV2: [164, 'const char **', 'void *', 'size_t', 'out'],
} as const;

type FunctionName = keyof typeof functions;
type Functions = Readonly<Record<FunctionName, (...values: unknown[]) => Pointer | null>>;

/** ONNXTensorElementDataType. */
const elementTypes = { f32: 1, i32: 6 } as const;
/** OrtAllocatorType and OrtMemType. */
const [deviceAllocator, arenaAllocator, defaultMemory] = [0, 1, 0];
/** ORT_LOGGING_LEVEL_FATAL: errors are returned, and raised by whoever called. */
const fatalOnly = 4;
/** ORT_ENABLE_ALL. */
const allOptimizations = 99;

/**
 * An array that V8 does not move about, as it does with small ones that have no buffer of their own.
 *
 * @throws OutOfMemory
 */
export function fixedArray(type: ElementType, size: number): NumberArray {
  const bytes = 4 * Math.max(1, size);
  let memory: ArrayBuffer;
  try {
    memory = new ArrayBuffer(bytes);
  } catch {
    throw new OutOfMemory(bytes);
  }
  return type === 'f32' ? new Float32Array(memory, 0, size) : new Int32Array(memory, 0, size);
}

function pointers(count: number): BigUint64Array<ArrayBuffer> {
  return new BigUint64Array(new ArrayBuffer(8 * Math.max(1, count)), 0, count);
}

/** A tensor as the library takes it. */
export interface OnnxValue {
  readonly pointer: Pointer;
  /** Its numbers, where they are. Not to be touched once the value is released. */
  readonly data: NumberArray;
  release(): void;
}

/** A compiled model, with room for the pointers of what it reads and writes. */
export interface OnnxSession {
  /** Of the values that it reads, in the order in which their names were given. */
  readonly inputs: BigUint64Array;
  /** Of the values that it writes to; a run puts a new one, its caller's from then on, wherever it finds 0. */
  readonly outputs: BigUint64Array;
  run(): void;
  release(): void;
}

/** What a session is made of. */
export interface OnnxProgram {
  readonly model: Uint8Array;
  readonly threads: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * onnxruntime by its C API. Other than its package for Node, that computes in the memory that it is given: what a program assigns is not
 * copied, and a cache can be appended to in place.
 */
export class OnnxRuntime {
  readonly #koffi: typeof import('koffi')['default'];
  /** Kept, for koffi unloads a library that nobody holds any more. */
  readonly #library: import('koffi').LibraryHandle;
  readonly #functions: Functions;
  readonly #textAt: (pointer: Pointer) => string;
  readonly #environment: Pointer;
  readonly #memory: Pointer;

  /** @throws MissingPackage */
  static async open(): Promise<OnnxRuntime> {
    const path = libraryPath();
    const koffi = await import('koffi').catch((error) => {
      // one whose binary is missing has a better explanation
      throw error.code === 'ERR_MODULE_NOT_FOUND' ? new MissingPackage('koffi') : error;
    });
    return new OnnxRuntime(koffi.default, path);
  }

  private constructor(koffi: typeof import('koffi')['default'], path: string) {
    this.#koffi = koffi;
    this.#textAt = (pointer) => koffi.decode(pointer, 'char', -1);
    this.#library = koffi.load(path);
    const base = this.#library.func('OrtGetApiBase', 'void *', [])();
    const getApi = koffi.decode(koffi.decode(base, 'void *'), koffi.proto('void *', ['uint32_t']));
    const api = getApi(apiVersion);
    const types = (parameters: readonly string[]) => parameters.map((type) => (type === 'out' ? koffi.out(koffi.pointer('void *')) : type));
    this.#functions = Object.fromEntries(
      Object.entries(functions).map(([name, [place, ...parameters]]) => {
        const prototype = koffi.proto(name.startsWith('Release') ? 'void' : 'void *', types(parameters));
        return [name, koffi.decode(koffi.decode(api, 8 * place, 'void *'), prototype)];
      }),
    ) as Functions;
    this.#environment = this.#create('CreateEnv', fatalOnly, 'rlpa');
    this.#memory = this.#create('CreateCpuMemoryInfo', deviceAllocator, defaultMemory);
    this.#registerArena();
  }

  /** A tensor of these numbers, which stay where they are: a {@link fixedArray}, or what came with a buffer of its own. */
  value(data: NumberArray, shape: Shape): OnnxValue {
    const dimensions = BigInt64Array.from(shape, BigInt);
    const type = elementTypes[data instanceof Float32Array ? 'f32' : 'i32'];
    const pointer = this.#create(
      'CreateTensorWithDataAsOrtValue',
      ...[this.#memory, data, data.byteLength, dimensions, shape.length, type],
    );
    return { pointer, data, release: () => this.#functions.ReleaseValue(pointer) };
  }

  /** What a session has put into its outputs. */
  adopt(pointer: Pointer, type: ElementType, size: number): OnnxValue {
    const data = this.numbersAt(this.#create('GetTensorMutableData', pointer), type, size);
    return { pointer, data, release: () => this.#functions.ReleaseValue(pointer) };
  }

  addressOf(data: NumberArray): Pointer {
    return this.#koffi.address(data);
  }

  /** Numbers that somebody else holds. */
  numbersAt(address: Pointer, type: ElementType, size: number): NumberArray {
    const memory = this.#koffi.view(address, 4 * size);
    return type === 'f32' ? new Float32Array(memory) : new Int32Array(memory);
  }

  session({ model, threads, inputs, outputs }: OnnxProgram): OnnxSession {
    const options = this.#create('CreateSessionOptions');
    let session: Pointer;
    try {
      this.#call('SetIntraOpNumThreads', options, threads);
      this.#call('SetInterOpNumThreads', options, 1);
      this.#call('SetSessionGraphOptimizationLevel', options, allOptimizations);
      this.#call('SetSessionLogSeverityLevel', options, fatalOnly);
      // The arena is the environment's: one of its own would keep for each session what its largest run needed.
      this.#call('AddSessionConfigEntry', options, 'session.use_env_allocators', '1');
      this.#call('DisableCpuMemArena', options);
      this.#call('DisableMemPattern', options);
      this.#call('AddSessionConfigEntry', options, 'session.intra_op.allow_spinning', '0');
      // numbers below 1e-38, as softmax gives them for what is masked, cost a hundred times what others do
      this.#call('AddSessionConfigEntry', options, 'session.set_denormal_as_zero', '1');
      session = this.#create('CreateSessionFromArray', this.#environment, model, model.length, options);
    } finally {
      this.#functions.ReleaseSessionOptions(options);
    }
    const names = [this.#names(inputs), this.#names(outputs)] as const;
    const [read, written] = [pointers(inputs.length), pointers(outputs.length)];
    return {
      inputs: read,
      outputs: written,
      run: () => this.#call('Run', session, null, names[0].list, read, read.length, names[1].list, written.length, written),
      release: () => this.#functions.ReleaseSession(session),
    };
  }

  /** Ends it; its sessions and values have to be released before. */
  close(): void {
    this.#functions.ReleaseMemoryInfo(this.#memory);
    this.#functions.ReleaseEnv(this.#environment);
  }

  /**
   * Memory for what programs compute on the way, kept by the environment and so for all sessions together: pages that come anew from the system
   * for every result take a tenth of a training step. It goes with the environment; another device of this process, which shares that, may
   * have one already.
   */
  #registerArena(): void {
    const settings = { arena_extend_strategy: 1 }; // by what is asked for, not by powers of two
    const values = BigUint64Array.from(Object.values(settings), BigInt);
    const configuration = this.#create('CreateArenaCfgV2', Object.keys(settings), values, values.length);
    const arena = this.#create('CreateCpuMemoryInfo', arenaAllocator, defaultMemory);
    this.#try('CreateAndRegisterAllocator', this.#environment, arena, configuration);
    this.#functions.ReleaseMemoryInfo(arena);
    this.#functions.ReleaseArenaCfg(configuration);
  }

  /** Names as C takes a list of them: pointers to texts, which have to be kept as long as the list. */
  #names(names: readonly string[]): { readonly list: BigUint64Array; readonly texts: Uint8Array } {
    const encoded = new TextEncoder().encode(names.map((name) => `${name}\0`).join(''));
    const texts = new Uint8Array(new ArrayBuffer(encoded.length + 1));
    texts.set(encoded);
    const list = pointers(names.length);
    let next = this.#koffi.address(texts);
    for (const [index, name] of names.entries()) {
      list[index] = next;
      next += BigInt(Buffer.byteLength(name) + 1);
    }
    return { list, texts };
  }

  /** What the library says if it does not do it. */
  #try(name: FunctionName, ...values: unknown[]): string | undefined {
    const status = this.#functions[name](...values);
    if (!status) return undefined;
    const message = this.#textAt(this.#functions.GetErrorMessage(status)!);
    this.#functions.ReleaseStatus(status);
    return message;
  }

  /** @throws what the library says; OutOfMemory where its arena cannot grow */
  #call(name: FunctionName, ...values: unknown[]): void {
    const message = this.#try(name, ...values);
    if (message === undefined) return;
    const [, bytes] = /Failed to allocate memory for requested buffer of size (\d+)/.exec(message) ?? [];
    throw bytes === undefined ? new Error(`onnxruntime: ${message}`) : new OutOfMemory(Number(bytes));
  }

  #create(name: FunctionName, ...values: unknown[]): Pointer {
    const out: [Pointer] = [nowhere];
    this.#call(name, ...values, out);
    return out[0];
  }
}

/** The system has no memory for so many bytes. */
export class OutOfMemory extends Error {
  constructor(readonly bytes: number) {
    super(
      `There is no memory for ${bytes} bytes: use smaller micro-batches (microBatchTokens), an adapter (lora) instead of all weights, or a smaller model.`,
    );
  }
}

/** A package that the CPU device needs is not installed. */
export class MissingPackage extends Error {
  constructor(readonly packageName: string) {
    super(`${packageName} is not installed.`);
  }
}

/** The shared library inside the package onnxruntime-node. */
function libraryPath(): string {
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  } catch {
    throw new MissingPackage('onnxruntime-node');
  }
  const folder = join(dirname(entry), '../bin/napi-v6', process.platform, process.arch);
  const library = existsSync(folder) && readdirSync(folder).find((name) => /^(lib)?onnxruntime\.(so|dll|.*dylib)/.test(name));
  if (!library) throw new Error(`onnxruntime-node has no library for ${process.platform} on ${process.arch}.`);
  return join(folder, library);
}
