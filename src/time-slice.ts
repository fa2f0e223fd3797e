/** Milliseconds after which others get theirs. */
const longestSlice = 5;

/**
 * Long work on a thread that others need too: now and then it asks whether its slice of time `isOver`, and then lets the event loop go
 * round by awaiting `next`.
 */
export class TimeSlice {
  #began = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#began > longestSlice;
  }

  async next(): Promise<void> {
    // browsers have no setImmediate, and promises alone never get as far as a timer
    await new Promise<void>((resolve) => (typeof setImmediate === 'function' ? setImmediate(resolve) : setTimeout(resolve)));
    this.#began = performance.now();
  }
}
