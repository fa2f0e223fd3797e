import type { ReportTable } from 'rlpa';
import type { TinySize } from 'rlpa/tiny';

/** What the page tells the worker. */
export type ToWorker =
  | { readonly type: 'train'; readonly size: TinySize; readonly seed: number }
  | { readonly type: 'say'; readonly message: string }
  /** Ends whatever is under way: the training, or an answer. */
  | { readonly type: 'stop' }
  | { readonly type: 'forget' };

/** What the worker tells the page. */
export type FromWorker =
  | { readonly type: 'gpu'; readonly name: string; readonly software: boolean }
  | { readonly type: 'no-gpu'; readonly message: string }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'iteration'; readonly point: CurvePoint }
  | { readonly type: 'table'; readonly table: ReportTable }
  /** The training has ended and there is somebody to talk to: `stoppedAfter` so many iterations, or at the end of them. */
  | { readonly type: 'trained'; readonly parameters: number; readonly stoppedAfter?: number }
  /** The training has ended and left nobody to talk to. */
  | { readonly type: 'failed'; readonly stopped: boolean; readonly message: string }
  | { readonly type: 'reply'; readonly text: string }
  | { readonly type: 'answered'; readonly tokens?: number; readonly milliseconds?: number; readonly problem?: string }
  | { readonly type: 'profile'; readonly slots: readonly KnownSlot[] };

/** The parts of a run, in order. */
export const phases = ['demonstrations', 'warm-start', 'before', 'ppo', 'after'] as const;
export type Phase = (typeof phases)[number];

export interface Progress {
  readonly phase: Phase;
  readonly done: number;
  readonly total: number;
  /** What is counted. */
  readonly unit: string;
}

/** What one iteration of PPO came to; null where nothing could be measured. */
export interface CurvePoint {
  readonly iteration: number;
  /** Mean reward of a turn. */
  readonly reward: number | null;
  /** Mean F1 of the inferred profile, 0 to 1. */
  readonly profileF1: number | null;
  /** Share of replies that meet all five criteria, 0 to 1: AVG. */
  readonly aligned: number | null;
}

export interface KnownSlot {
  readonly label: string;
  readonly value?: string;
  /** `stated`, `inferred` or `edited`. */
  readonly source?: string;
  /** The user's words that the value rests on. */
  readonly evidence?: string;
}
