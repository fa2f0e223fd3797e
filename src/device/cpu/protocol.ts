import type { ElementType } from '../../tensor/index';
import type { NumberArray } from '../device';
import type { LoweredGraph } from './lower';

/** So many requests of a thread, counted from its first one, are served; the count starts again at -2^31. */
export interface Progress {
  readonly thread: number;
  readonly served: number;
}

/**
 * What the CPU device asks of one of its threads. Requests are served in order, each after what it names of other threads; one without an id has no
 * reply, unless it fails.
 */
export type Request = { readonly id?: number; readonly after?: readonly Progress[] } & (
  | { readonly kind: 'create'; readonly buffer: number; readonly type: ElementType; readonly size: number; readonly data?: NumberArray }
  | { readonly kind: 'write'; readonly buffer: number; readonly data: NumberArray }
  | { readonly kind: 'clear'; readonly buffers: readonly number[] }
  | { readonly kind: 'read'; readonly buffer: number }
  | { readonly kind: 'copy'; readonly from: number; readonly to: number }
  /** Exchanges two rows of each buffer, which has so many in all. */
  | {
      readonly kind: 'swap';
      readonly buffers: readonly { readonly id: number; readonly rows: number }[];
      readonly one: number;
      readonly other: number;
    }
  | { readonly kind: 'release'; readonly buffers: readonly number[] }
  | {
      readonly kind: 'compile';
      readonly program: number;
      readonly lowered: LoweredGraph;
      readonly buffers: readonly string[];
      readonly threads: number;
    }
  | {
      readonly kind: 'run';
      readonly program: number;
      /** For each run. */
      readonly inputs: readonly Readonly<Record<string, NumberArray>>[];
      /** In the order in which they were named to `compile`: a thousand names would take longer to send than all the rest. */
      readonly buffers: Int32Array;
    }
  | { readonly kind: 'discard'; readonly program: number }
  /** From now on the other threads are to find this one's buffers. */
  | { readonly kind: 'publish' }
  /** Ends the thread. */
  | { readonly kind: 'end' }
);

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | {
      readonly id?: number;
      readonly error: string;
      readonly missingPackage?: string;
      /** For which there was no memory. */
      readonly missingBytes?: number;
    };

export interface WorkerOptions {
  /** Which of the device's threads it is. */
  readonly thread: number;
  /** How many requests each thread has served. Shared by all. */
  readonly served: Int32Array;
  /** Where the numbers of each buffer are in this process's memory, if its thread has published it. Shared by all. */
  readonly addresses: BigUint64Array;
}
