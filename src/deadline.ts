import { abortedError, invalidOption, RlpaError, throwIfAborted } from './errors';

export interface Waiting {
  /** Whether a program stays for the deadline although nothing else goes on in it; default true. */
  readonly keepsProcess?: boolean;
}

/**
 * Runs `work` with a signal of its own that fires at the deadline or with `signal`. Does not wait for work that ignores it.
 *
 * @throws `timeout` naming `what`, `aborted`, and whatever `work` throws.
 */
export async function withDeadline<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  waiting?: Waiting,
): Promise<T> {
  throwIfAborted(signal);
  const controller = new AbortController();
  return waitFor(what, timeoutMs, signal, work(controller.signal), (error) => controller.abort(error), waiting);
}

/**
 * Waits for work that is under way, until the deadline or until `signal` fires, of which `onStop` tells.
 *
 * @throws `timeout` naming `what`, `aborted`, and whatever the work throws.
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  work: Promise<T>,
  onStop: (error: RlpaError) => void = () => {},
  { keepsProcess = true }: Waiting = {},
): Promise<T> {
  let stop: (error: RlpaError) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = (error) => {
      reject(error);
      onStop(error);
    };
  });
  stopped.catch(() => {}); // `work` may reject first, and nobody else listens then
  const late = () => stop(new RlpaError('timeout', `${what} took longer than ${timeoutMs} ms.`, { timeoutMs }));
  const timer = alarm(timeoutMs, late);
  // Timers of browsers are numbers.
  if (!keepsProcess) (timer as { unref?(): void } | undefined)?.unref?.();
  const release = whenAborted(signal, () => stop(abortedError(signal!)));
  try {
    return await Promise.race([work, stopped]);
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** @throws `invalid-option` for what is no deadline, also for a number that is a text: adding it to a time would write one behind the other */
export function checkTimeout(owner: string, timeoutMs: number, option = 'timeoutMs'): void {
  if (!(typeof timeoutMs === 'number' && timeoutMs > 0)) throw invalidOption(owner, option, 'a number above 0', timeoutMs);
}

/** Timers take 31 bits: almost 25 days. */
export const longestTimer = 2 ** 31 - 1;

/** A timer for a deadline; without one (`Infinity`) there is none that would keep the process. */
export function alarm(timeoutMs: number, ring: () => void): ReturnType<typeof setTimeout> | undefined {
  return Number.isFinite(timeoutMs) ? setTimeout(ring, Math.min(timeoutMs, longestTimer)) : undefined;
}

/**
 * Signals that fire with `signal`, at the price of one listener on it: for work of which many pieces run at once.
 * `release` ends the connection.
 */
export function forkSignal(signal: AbortSignal | undefined, count: number): { signals: AbortSignal[]; release: () => void } {
  const controllers = Array.from({ length: count }, () => new AbortController());
  const release = whenAborted(signal, (reason) => {
    for (const controller of controllers) controller.abort(reason);
  });
  return { signals: controllers.map((controller) => controller.signal), release };
}

/**
 * A signal that fires with the first of these. `AbortSignal.any` leaves something on each of them for every signal that it makes, which adds
 * up where one lives as long as a program; here `release` ends the connection.
 */
export function anySignal(...given: readonly (AbortSignal | undefined)[]): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const releases = given.map((signal) => whenAborted(signal, (reason) => controller.abort(reason)));
  return {
    signal: controller.signal,
    release() {
      for (const release of releases) release();
    },
  };
}

/** Tells of a signal that fires, at once where it has fired. → what ends that */
function whenAborted(signal: AbortSignal | undefined, tell: (reason: unknown) => void): () => void {
  const onAbort = () => tell(signal?.reason);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  return () => signal?.removeEventListener('abort', onAbort);
}

/** Waits `ms` milliseconds. @throws `aborted` as soon as the signal fires. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(abortedError(signal!));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
