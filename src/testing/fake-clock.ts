import { invalidOption } from '../errors';

export interface FakeClock {
  /** For the `now` of an agent. */
  readonly now: () => Date;
  /** Moves on by so many milliseconds, or back. */
  advance(ms: number): void;
  set(time: Date | string): void;
}

/**
 * A clock that stands still until it is moved, so that dates in a test are known.
 *
 * @throws `invalid-option` for what is no date
 * @example
 * import { PersonalizedAgent, ProfileSchema } from 'rlpa';
 * import { fakeClock, scriptedChatModel } from 'rlpa/testing';
 * const clock = fakeClock('2026-01-01T12:00:00Z');
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: scriptedChatModel(['Hello!']), now: clock.now });
 * clock.advance(24 * 60 * 60 * 1000);
 */
export function fakeClock(start: Date | string = '2026-01-01T00:00:00Z'): FakeClock {
  let time = timeOf(start);
  return {
    now: () => new Date(time),
    advance: (ms) => {
      time = timeOf(new Date(time + ms));
    },
    set: (next) => {
      time = timeOf(next);
    },
  };
}

function timeOf(date: Date | string): number {
  const time = new Date(date).getTime();
  if (Number.isNaN(time)) throw invalidOption('fakeClock', 'time', 'a date', String(date));
  return time;
}
