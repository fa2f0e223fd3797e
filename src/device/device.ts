import type { ElementType, Graph, Shape } from '../tensor/index';

export type NumberArray = Float32Array | Int32Array;

/** Memory on a device: weights, optimiser state, caches. Released explicitly; never garbage-collected under a running program. */
export interface DeviceBuffer {
  readonly id: number;
  readonly shape: Shape;
  readonly type: ElementType;
}

/** A graph compiled for a device. */
export interface Program {
  readonly id: number;
  readonly graph: Graph;
}

export interface CompileOptions {
  /** Whether other lanes compute at the same time, so that the program gets a share of the processors instead of all. */
  readonly beside?: boolean | undefined;
}

export interface BuffersByName {
  get(name: string): DeviceBuffer | undefined;
}

export interface RunOptions {
  /** Data for each input of the graph. */
  readonly inputs?: Readonly<Record<string, NumberArray>> | undefined;
  /**
   * The buffer that stands for each buffer name of the graph: a map, or whatever else knows them by name. One that has more rows, entries of the
   * first dimension, than the graph says is read and written in its first rows only.
   */
  readonly buffers?: BuffersByName | Readonly<Record<string, DeviceBuffer>> | undefined;
}

export interface SeriesOptions extends Pick<RunOptions, 'buffers'> {
  /** Data for each input of the graph, for one run after the other. */
  readonly inputs: readonly Readonly<Record<string, NumberArray>>[];
}

/** Devices that are opened by their name. `webgpu-f16` is a GPU whose matrix products multiply in half precision. */
export const deviceKinds = ['cpu', 'webgpu', 'webgpu-f16'] as const;
export type DeviceKind = (typeof deviceKinds)[number];

/** In what precision the factors of matrix products are multiplied; sums are single in both. */
export type MatmulPrecision = 'f32' | 'f16';

export const matmulPrecisionOf = (kind: DeviceKind): MatmulPrecision => (kind === 'webgpu-f16' ? 'f16' : 'f32');

/**
 * Where tensors live and graphs run. All methods fail with `device-failed`, naming the operation where one is at fault.
 * Calls are executed in the order in which they are made.
 */
export interface Device extends DeviceLane {
  /**
   * Parts of a device that work at the same time, if it has any. The calls of a lane are executed in the order in which they are made, and beside
   * those of other lanes; the device's own calls after all that were made before them in any lane, and before all that are made after them. A
   * lane runs what was compiled in it, reads the device's buffers, and writes those that were made in it.
   */
  readonly lanes: readonly DeviceLane[];
  /** Ends the device; calls under way fail. */
  dispose(): Promise<void>;
}

/** What is done on a device one after the other. */
export interface DeviceLane {
  readonly kind: DeviceKind;
  /** A buffer with this content, or zeros. The device may keep the array: it is not to be changed afterwards. */
  create(shape: Shape, type: ElementType, data?: NumberArray): DeviceBuffer;
  /** Replaces the content. With `transfer` the array is handed over, not copied: whoever gave it finds it empty. */
  write(buffer: DeviceBuffer, data: NumberArray, options?: { readonly transfer?: boolean }): void;
  /** Fills buffers with zeros. */
  clear(buffers: Iterable<DeviceBuffer>): void;
  read(buffer: DeviceBuffer): Promise<NumberArray>;
  /** Copies between buffers of one shape without a detour. */
  copy(from: DeviceBuffer, to: DeviceBuffer): void;
  /** Exchanges two rows, entries of the first dimension, of each of the buffers. */
  swapRows(buffers: Iterable<DeviceBuffer>, one: number, other: number): void;
  release(buffers: Iterable<DeviceBuffer>): void;
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  /** Runs the program: buffers are updated by its assignments and appends; its outputs are returned. */
  run(program: Program, options: RunOptions): Promise<Record<string, NumberArray>>;
  /**
   * Runs the program several times, as {@link run} does, one after the other; → the outputs of each run. What a run leaves in a buffer the
   * next one finds there, without the way back to the caller: the token that it sampled, for one. Another
   * series may be begun before the results of this one are read.
   */
  runSeries(program: Program, options: SeriesOptions): Promise<Record<string, NumberArray>[]>;
  /** Frees a program. */
  discard(program: Program): void;
}
