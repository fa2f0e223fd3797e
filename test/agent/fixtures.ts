import { z } from 'zod';
import { formatTurn, ProfileSchema, slot } from '../../src/profile/index';
import { fakeClock } from '../../src/testing/index';

export const schema = ProfileSchema.define({
  occupation: slot.one(z.string()),
  interests: slot.many(z.string()),
  age: slot.one(z.int()),
  health: slot.many(z.string(), { sensitive: true }),
});

/** A whole answer in the text form. */
export const turnText = (values: Parameters<typeof schema.profile>[0], reply: string) => formatTurn(schema.profile(values), reply);

/** A whole answer in JSON. */
export const turnJson = (changes: readonly unknown[], reply: string) => JSON.stringify({ changes, reply });

export const json = { structuredOutput: true };

/** Ids 1, 2, 3 … and a clock that the test moves. */
export function fixed() {
  let id = 0;
  const clock = fakeClock('2026-01-01T12:00:00Z');
  return { clock, options: { generateId: () => String(++id), now: clock.now } };
}

export async function collect<T>(parts: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const part of parts) all.push(part);
  return all;
}

/** A wait that the test ends. */
export function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Lets everything that needs no timer go on. */
export const idle = () => new Promise((resolve) => setTimeout(resolve, 5));
