import { pause } from '../../deadline';

/** Of what a run took before, the share in which nobody asks for its result: runs differ. */
const share = 0.75;
/** Milliseconds that are not worth a timer. */
const short = 8;
/** What is there within so many milliseconds of being asked for may have been there for long. */
const prompt = 0.5;

/**
 * What runs of each program take, so that nobody asks for results long before they are there. Dawn for Node looks for what is asked for as often
 * as the event loop turns, and keeps a core busy with it: the one that a software adapter computes on.
 */
export class RunTimes {
  /** Infinite after a program's first run, which tells nothing: drivers end the compilation then. */
  readonly #expected = new WeakMap<object, number>();
  #underWay = 0;
  /** When the last of them is expected to be over, and when the last result came. */
  #dueAt = 0;
  #lastAt = 0;

  /** Runs of a program were submitted, behind those under way. → waits until they are nearly over, and then for their results */
  submitted(program: object, runs: number): <T>(result: () => Promise<T>) => Promise<T> {
    const known = this.#expected.get(program);
    const expected = known !== undefined && Number.isFinite(known) ? known * runs : 0;
    const submittedAt = performance.now();
    const dueAt = Math.max(submittedAt, this.#underWay > 0 ? this.#dueAt : 0) + expected;
    this.#dueAt = dueAt;
    this.#underWay++;
    return async (result) => {
      try {
        const rest = dueAt - (1 - share) * expected - performance.now();
        if (rest > short) await pause(rest);
        const askedAt = performance.now();
        const found = await result();
        const now = performance.now();
        const taken = (now - Math.max(submittedAt, this.#lastAt)) / runs;
        this.#lastAt = now;
        // how long it had been over nobody knows: less is expected next time
        const wasOver = rest > short && now - askedAt < prompt;
        if (known === undefined) this.#expected.set(program, Number.POSITIVE_INFINITY);
        else this.#expected.set(program, wasOver ? share * known : Math.min(taken, 1.2 * known));
        return found;
      } finally {
        this.#underWay--;
      }
    };
  }
}
