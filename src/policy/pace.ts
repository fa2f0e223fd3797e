/** Milliseconds for which a batch may be sampled before anybody is asked whether to go on. */
const patience = 5;
const mostSteps = 8;

/**
 * How many tokens to sample at a time. Between two of them something has to cross from the device to this thread and back; where that takes
 * as long as the tokens do, several are worth a single crossing.
 */
export class Pace {
  /** What a token took of late, in milliseconds; undefined before the first. */
  stepMs: number | undefined;

  get steps(): number {
    return this.stepMs === undefined ? 1 : Math.min(mostSteps, Math.max(1, Math.floor(patience / this.stepMs)));
  }
}
