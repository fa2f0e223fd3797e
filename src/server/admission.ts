import { abortedError, throwIfAborted } from '../errors';

/** So many turns at a time, and so many more that wait for their place, first come, first served, and so long. */
export class Admission {
  readonly #concurrency: number;
  readonly #queue: number;
  readonly #patienceMs: number;
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(concurrency: number, queue: number, patienceMs: number) {
    this.#concurrency = concurrency;
    this.#queue = queue;
    this.#patienceMs = patienceMs;
  }

  get counters(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting.length };
  }

  /**
   * Waits for a place; the function that comes back gives it up. Undefined where there is none: at once when too many wait already, or after
   * a wait that was too long.
   *
   * @throws `aborted`
   */
  async enter(signal: AbortSignal): Promise<(() => void) | undefined> {
    throwIfAborted(signal);
    if (this.#running < this.#concurrency) {
      this.#running++;
      return this.#leaveOnce();
    }
    if (this.#waiting.length >= this.#queue) return undefined;
    return new Promise((resolve, reject) => {
      const begin = () => {
        stopWaiting();
        resolve(this.#leaveOnce());
      };
      const stopWaiting = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.#waiting = this.#waiting.filter((each) => each !== begin);
      };
      const onAbort = () => {
        stopWaiting();
        reject(abortedError(signal));
      };
      const timer = setTimeout(() => {
        stopWaiting();
        resolve(undefined);
      }, this.#patienceMs);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(begin);
    });
  }

  #leaveOnce(): () => void {
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      const [next] = this.#waiting;
      if (next) next();
      else this.#running--;
    };
  }
}
