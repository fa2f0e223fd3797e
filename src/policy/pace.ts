/** Milliseconds for which a batch may be sampled before anybody is asked whether to go on. */
const patience = 5;
const mostSteps = 8;

/**
 * How many tokens to sample at a time. Between two of them something has to cross from the device to this thread and back; where that takes
 * as long as the tokens do, several are worth a single crossing.
 */
export class Pace {
  #stepMs = Number.POSITIVE_INFINITY;

  get steps(): number {
    return Math.min(mostSteps, Math.max(1, Math.floor(patience / this.#stepMs)));
  }

  /** What a token took of late, in milliseconds. */
  took(milliseconds: number): void {
    this.#stepMs = milliseconds;
  }
}
