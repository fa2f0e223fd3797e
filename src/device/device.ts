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

export interface RunOptions {
  /** Data for each input of the graph. */
  readonly inputs?: Readonly<Record<string, NumberArray>>;
  /** The buffer that stands for each buffer name of the graph. */
  readonly buffers?: ReadonlyMap<string, DeviceBuffer> | Readonly<Record<string, DeviceBuffer>>;
}

/** Devices that are opened by their name. */
export const deviceKinds = ['cpu', 'webgpu'] as const;
export type DeviceKind = (typeof deviceKinds)[number];

/**
 * Where tensors live and graphs run. All methods fail with `device-failed`, naming the operation where one is at fault.
 * Calls are executed in the order in which they are made.
 */
export interface Device {
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
  release(buffers: Iterable<DeviceBuffer>): void;
  compile(graph: Graph): Promise<Program>;
  /** Runs the program: buffers are updated by its assignments and appends; its outputs are returned. */
  run(program: Program, options: RunOptions): Promise<Record<string, NumberArray>>;
  /** Frees a program. */
  discard(program: Program): void;
  /** Ends the device; calls under way fail. */
  dispose(): Promise<void>;
}
