import { expect, it } from 'vitest';
import type { ProfileStore, StoredItem, UserRecord } from '../../src/agent/index';
import { profileItem } from '../../src/profile/index';
import { addingAgent } from './adding-agent';

/** A record as an agent would write it, with whatever else a later version may keep in one. */
export function recordOf(userId: string, version: number, rest: object = {}): UserRecord {
  return { userId, id: `record of ${userId}`, version, profileVersion: 0, items: [], turns: [], ...rest };
}

/** An item as an agent would write it, of its slot and value. */
export function itemOf(slot: string, value: unknown, rest: object = {}): StoredItem {
  const item = profileItem(slot, value);
  return { ...item, id: item.key, source: 'stated', confidence: 1, validFrom: '2026-01-01T00:00:00.000Z', ...rest };
}

/** Ids that collide, escape or break something where they are taken for file names, SQL, JSON or C strings. */
export const unusualIds = [
  'a',
  'A',
  'ä',
  'a\u0308',
  'Ä',
  'ss',
  'ß',
  'ſs',
  'K',
  '\u212a',
  '.',
  '..',
  '../a',
  '../../../../tmp/a',
  '/etc/passwd',
  'C:\\Windows',
  'a/b',
  'a\\b',
  'a.',
  'a ',
  ' a',
  'a\n',
  'con',
  'CON',
  'nul.json',
  '.aside',
  'user-a',
  '-rf',
  '~',
  '*',
  '%2e',
  '%',
  '%%',
  '$1',
  "'; DROP TABLE rlpa_profiles; --",
  '"',
  '`',
  '\0',
  'a\0',
  'a\0b',
  '\ud800',
  '\ud801',
  '\udc00',
  '\ufffd',
  '😀',
  '\u202e',
  '\ufeff',
  '__proto__',
  'constructor',
  'null',
  '0',
  '00',
  '1e3',
  'x'.repeat(119),
  'x'.repeat(120),
  'x'.repeat(121),
  `${'x'.repeat(10_000)}1`,
  `${'x'.repeat(10_000)}2`,
  '長'.repeat(300),
];

/**
 * What every `ProfileStore` does. `open` gives a handle on the same data each time, as another process would have it.
 */
export function itIsAProfileStore(open: () => ProfileStore): void {
  let users = 0;
  /** A user whom no other test knows. */
  const newUser = () => `user ${++users}`;

  it('knows nobody at first', async () => {
    const user = newUser();
    expect(await open().load(user)).toBeUndefined();
    expect(await open().erase(user)).toBe(false);
    expect(await open().save(recordOf(user, 2), 1)).toBe(false);
    expect(await open().load(user)).toBeUndefined();
  });

  it('gives every handle the record that was saved last', async () => {
    const user = newUser();
    const [one, other] = [open(), open()];
    for (let version = 1; version <= 5; version++) {
      const record = recordOf(user, version, { items: [itemOf('occupation', `value ${version}`)] });
      expect(await (version % 2 ? one : other).save(record, version - 1)).toBe(true);
      expect(await one.load(user)).toEqual(record);
      expect(await other.load(user)).toEqual(record);
    }
  });

  it.each([0, 1, 2, 4, 5])('refuses a record based on version %i when version 3 is stored', async (basedOn) => {
    const user = newUser();
    const store = open();
    for (let version = 1; version <= 3; version++) await store.save(recordOf(user, version), version - 1);
    const before = await store.load(user);
    expect(await open().save(recordOf(user, basedOn + 1, { late: true }), basedOn)).toBe(false);
    expect(await store.load(user)).toEqual(before);
    expect(await store.save(recordOf(user, 4), 3)).toBe(true);
  });

  it('lets one of many first records through', async () => {
    const user = newUser();
    const writers = Array.from({ length: 20 }, (_, writer) =>
      open()
        .save(recordOf(user, 1, { writer }), 0)
        .then((saved) => ({ saved, writer })),
    );
    const winners = (await Promise.all(writers)).filter(({ saved }) => saved);
    expect(winners).toHaveLength(1);
    expect(await open().load(user)).toEqual(recordOf(user, 1, { writer: winners[0]!.writer }));
  });

  it('lets one of many records based on the same version through', async () => {
    const user = newUser();
    await open().save(recordOf(user, 1), 0);
    for (let version = 2; version <= 6; version++) {
      const writers = Array.from({ length: 8 }, (_, writer) =>
        open()
          .save(recordOf(user, version, { writer }), version - 1)
          .then((saved) => ({ saved, writer })),
      );
      const winners = (await Promise.all(writers)).filter(({ saved }) => saved);
      expect(winners).toHaveLength(1);
      expect(await open().load(user)).toEqual(recordOf(user, version, { writer: winners[0]!.writer }));
    }
  });

  it('forgets a user who is erased, and lets them begin anew', async () => {
    const user = newUser();
    const store = open();
    await store.save(recordOf(user, 1), 0);
    await store.save(recordOf(user, 2), 1);
    expect(await open().erase(user)).toBe(true);
    expect(await store.erase(user)).toBe(false);
    expect(await store.load(user)).toBeUndefined();
    expect(await store.save(recordOf(user, 3), 2)).toBe(false);
    expect(await store.load(user)).toBeUndefined();
    expect(await store.save(recordOf(user, 1, { anew: true }), 0)).toBe(true);
    expect(await open().load(user)).toEqual(recordOf(user, 1, { anew: true }));
  });

  it('never lets a write bring back a user who is erased meanwhile', async () => {
    for (let round = 0; round < 20; round++) {
      const user = newUser();
      await open().save(recordOf(user, 1), 0);
      const [, erased, again] = await Promise.all([
        open().save(recordOf(user, 2, { late: true }), 1),
        open().erase(user),
        open().erase(user),
      ]);
      expect(erased || again).toBe(true);
      expect(await open().load(user)).toBeUndefined();
    }
  });

  it('keeps users with unusual ids apart', async () => {
    const store = open();
    for (const [number, user] of unusualIds.entries())
      expect([user, await store.save(recordOf(user, 1, { number }), 0)]).toEqual([user, true]);
    for (const [number, user] of unusualIds.entries()) expect(await open().load(user)).toEqual(recordOf(user, 1, { number }));
    for (const [number, user] of unusualIds.entries()) {
      expect(await store.save(recordOf(user, 2, { number: 1000 + number }), 1)).toBe(true);
      if (number % 2 === 1) expect(await store.erase(user)).toBe(true);
    }
    for (const [number, user] of unusualIds.entries()) {
      expect(await store.load(user)).toEqual(number % 2 === 1 ? undefined : recordOf(user, 2, { number: 1000 + number }));
    }
  });

  it('keeps whatever JSON a record holds, fields of other versions included', async () => {
    const user = newUser();
    const record = recordOf(user, 1, {
      schemaVersion: 7,
      profileVersion: 12,
      sessions: { s1: { openedAt: '2026-01-01T00:00:00.000Z' }, __proto__x: null },
      items: [itemOf('a slot of an older schema', { nested: [1, 2.5, 1e-7, 2 ** 53 - 1, true, null, []] }, { validTo: 'x', later: {} })],
      text: '\0 \u0001 \ud800 \udc00 😀 \u2028 </profile> \' " \\ ä a\u0308 \ufeff',
    });
    expect(await open().save(record, 0)).toBe(true);
    expect(await open().load(user)).toEqual(record);
  });

  it('keeps a large record', async () => {
    const user = newUser();
    const items = Array.from({ length: 20_000 }, (_, i) => itemOf('interests', `an interest number ${i}`.repeat(5)));
    const record = recordOf(user, 1, { items });
    expect(await open().save(record, 0)).toBe(true);
    expect(await open().save({ ...record, version: 2 }, 1)).toBe(true);
    expect(await open().load(user)).toEqual({ ...record, version: 2 });
  });

  it('loses no turn of two agents on one user', async () => {
    const user = newUser();
    const agents = [addingAgent(open()), addingAgent(open())];
    const hobbies = Array.from({ length: 40 }, (_, i) => `hobby ${i}`);
    const turns = await Promise.all(hobbies.map((hobby, i) => agents[i % 2]!.respond({ userId: user, message: `I like ${hobby}` })));
    expect(turns.flatMap(({ problem }) => problem ?? [])).toEqual([]);
    const record = (await open().load(user))!;
    expect(record.items.map(({ value }) => value).sort()).toEqual([...hobbies].sort());
    expect(record.turns.map(({ message }) => message.slice('I like '.length)).sort()).toEqual([...hobbies].sort());
    expect(record.version).toBe(40);
  });
}

/** What a `ProfileStore` does whose calls have something to wait for. */
export function itCanBeGivenUp(open: () => ProfileStore): void {
  it('does nothing for a caller that has given up', async () => {
    const store = open();
    await store.save(recordOf('given up', 1), 0);
    const signal = AbortSignal.abort();
    await expect(store.load('given up', signal)).rejects.toMatchObject({ code: 'aborted' });
    await expect(store.save(recordOf('given up', 2), 1, signal)).rejects.toMatchObject({ code: 'aborted' });
    await expect(store.save(recordOf('never met', 1), 0, signal)).rejects.toMatchObject({ code: 'aborted' });
    await expect(store.erase('given up', signal)).rejects.toMatchObject({ code: 'aborted' });
    expect(await open().load('given up')).toEqual(recordOf('given up', 1));
    expect(await open().load('never met')).toBeUndefined();
  });

  it('refuses what is no record', async () => {
    const store = open();
    await expect(store.save(recordOf('no version', 0), 0)).rejects.toMatchObject({ code: 'invalid-option' });
    await expect(store.save(recordOf('no version', Number.NaN), 0)).rejects.toMatchObject({ code: 'invalid-option' });
    await expect(store.save({} as never, 0)).rejects.toMatchObject({ code: 'invalid-option' });
    for (const rest of [{ items: undefined }, { items: [null] }, { turns: [5] }])
      await expect(store.save(recordOf('no items', 1, rest), 0)).rejects.toMatchObject({ code: 'invalid-option' });
    expect(await store.load('no items')).toBeUndefined();
  });
}
