/** Milliseconds for which a batch may be sampled before anybody is asked whether to go on. */
const patience = 5;
const mostSteps = 8;

/**
 * How many tokens to sample at a time, and whether to begin with the next before these are read. Between two of them something has to cross from
 * the device to this thread and back; where that takes as long as the tokens do, several are worth a single crossing, and the device need not
 * wait for it: what it computes for a text that has ended meanwhile costs less.
 */
export class Pace {
  /** What a token took of late, in milliseconds; undefined before the first. */
  #stepMs: number | undefined;
  #lastAt = 0;

  get stepMs(): number | undefined {
    return this.#stepMs;
  }

  get steps(): number {
    return this.#stepMs === undefined ? 1 : Math.min(mostSteps, Math.max(1, Math.floor(patience / this.#stepMs)));
  }

  /** How many series may be under way while no further is begun: none but the one that is awaited, or one. */
  get ahead(): number {
    return this.#stepMs !== undefined && this.#stepMs <= patience ? 1 : 0;
  }

  /** So many steps, or the reading of a prompt, are over. They were asked for at a time of `performance.now()`, but begun after what was before. */
  finished(askedAt: number, steps?: number): void {
    const now = performance.now();
    if (steps !== undefined) this.#stepMs = (now - Math.max(askedAt, this.#lastAt)) / steps;
    this.#lastAt = now;
  }
}
