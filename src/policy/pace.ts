/** Milliseconds for which a batch may be sampled before anybody is asked whether to go on. */
const patience = 10;
/** Milliseconds that may be computed in vain, for texts that have ended meanwhile. */
const waste = 25;
const mostSteps = 8;
/** A series that takes less than so many times what one of half its length takes is waited for, rather than computed. */
const waiting = 1.5;
/** Series after which what another took is found out again: caches grow, and rows come and go. */
const memory = 64;

/**
 * How many tokens to sample at a time, and whether to begin with the next before these are read. Between two of them something has to cross
 * from the device to this thread and back. Where that takes as long as the tokens do, several are worth a single crossing, and the device need
 * not wait for it: what it computes for a text that has ended meanwhile costs less. How long a crossing takes nobody says; but a series twice
 * as long then takes hardly longer.
 */
export class Pace {
  /** What a series took of late, in milliseconds, by its steps: 1, 2, 4 or 8. */
  readonly #taken = new Map<number, { readonly ms: number; readonly count: number }>();
  #stepMs: number | undefined;
  #count = 0;
  #lastAt = 0;

  /** What a token took of late, in milliseconds; undefined before the first. */
  get stepMs(): number | undefined {
    return this.#stepMs;
  }

  get steps(): number {
    let steps = 1;
    for (; steps < mostSteps; steps *= 2) {
      const [ms, twice] = [this.#msOf(steps), this.#msOf(2 * steps)];
      if (ms === undefined || (twice === undefined ? ms > waste : twice > patience && twice > waiting * ms)) break;
    }
    return steps;
  }

  /** How many series may be under way while no further is begun: none but the one that is awaited, or one. */
  get ahead(): number {
    return this.#stepMs !== undefined && this.#stepMs <= waste ? 1 : 0;
  }

  /** So many steps, or the reading of a prompt, are over. They were asked for at a time of `performance.now()`, but begun after what was before. */
  finished(askedAt: number, steps?: number): void {
    const now = performance.now();
    if (steps !== undefined) {
      const ms = now - Math.max(askedAt, this.#lastAt);
      this.#stepMs = ms / steps;
      this.#taken.set(steps, { ms, count: ++this.#count });
    }
    this.#lastAt = now;
  }

  #msOf(steps: number): number | undefined {
    const taken = this.#taken.get(steps);
    return taken && this.#count - taken.count < memory ? taken.ms : undefined;
  }
}
