import { throwIfAborted } from '../errors';

/**
 * Who may use a policy's weights, and what is computed with them: one task alone, or several that share them. They begin in the order in which
 * they were asked for, so that nobody waits for ever.
 */
export class WeightsLock {
  /** The end of the last task that asked for them alone. */
  #alone: Promise<unknown> = Promise.resolve();
  /** The ends of those that have asked to share them since. */
  readonly #sharing = new Set<Promise<unknown>>();
  #waiting = 0;

  /** Whether a task waits to be alone with them. */
  get isWanted(): boolean {
    return this.#waiting > 0;
  }

  /** A task whose signal fires while it waits never starts. */
  alone<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const before = Promise.all([this.#alone, ...this.#sharing]);
    this.#sharing.clear();
    const result = before.then(() => {
      this.#waiting--;
      throwIfAborted(signal);
      return task();
    });
    this.#alone = result.catch(() => undefined);
    return result;
  }

  shared<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#alone.then(task);
    const forget = () => this.#sharing.delete(end);
    const end: Promise<unknown> = result.then(forget, forget);
    this.#sharing.add(end);
    return result;
  }
}
