import type { ElementType } from '../../tensor/index';
import type { NumberArray } from '../device';
import type { LoweredGraph } from './lower';

/** What the CPU device asks of its worker thread. Requests are served in order; one without an id has no reply, unless it fails. */
export type Request = { readonly id?: number } & (
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
  | { readonly kind: 'compile'; readonly program: number; readonly lowered: LoweredGraph; readonly buffers: readonly string[] }
  | {
      readonly kind: 'run';
      readonly program: number;
      /** For each run. */
      readonly inputs: readonly Readonly<Record<string, NumberArray>>[];
      /** In the order in which they were named to `compile`: a thousand names would take longer to send than all the rest. */
      readonly buffers: Int32Array;
    }
  | { readonly kind: 'discard'; readonly program: number }
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
  readonly threads: number;
}
