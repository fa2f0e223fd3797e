import { abortedError } from '../errors';

/** So many turns at a time, and so many more that wait for their place, first come, first served. */
export class Admission {
  readonly #concurrency: number;
  readonly #queue: number;
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(concurrency: number, queue: number) {
    this.#concurrency = concurrency;
    this.#queue = queue;
  }

  get counters(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting.length };
  }

  /** Waits for a place; the function that comes back gives it up. Undefined, at once, when too many wait already. @throws `aborted` */
  enter(signal: AbortSignal): Promise<() => void> | undefined {
    if (this.#running < this.#concurrency) {
      this.#running++;
      return Promise.resolve(this.#leaveOnce());
    }
    if (this.#waiting.length >= this.#queue) return undefined;
    return new Promise((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener('abort', onAbort);
        resolve(this.#leaveOnce());
      };
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((each) => each !== begin);
        reject(abortedError(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(begin);
    });
  }

  #leaveOnce(): () => void {
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    };
  }
}
