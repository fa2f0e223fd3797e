/** Milliseconds after which others get theirs. */
const longestSlice = 5;

/**
 * Long work on a thread that others need too: it asks now and then whether its slice of time is over, and then lets the event loop go round.
 *
 * @example
 * const slice = new TimeSlice();
 * for (const node of nodes) {
 *   if (slice.isOver) await slice.next();
 *   translate(node);
 * }
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
