/** Milliseconds after which others get their turn. */
const longestTurn = 5;

/**
 * Long work on a thread that others need too: it asks now and then whether its turn is over, and then lets the event loop go round.
 *
 * @example
 * const turn = new Turn();
 * for (const node of nodes) {
 *   if (turn.isOver) await turn.next();
 *   translate(node);
 * }
 */
export class Turn {
  #began = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#began > longestTurn;
  }

  async next(): Promise<void> {
    // browsers have no setImmediate, and promises alone never get as far as a timer
    await new Promise<void>((resolve) => (typeof setImmediate === 'function' ? setImmediate(resolve) : setTimeout(resolve)));
    this.#began = performance.now();
  }
}
