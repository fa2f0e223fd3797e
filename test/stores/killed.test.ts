import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Random } from '../../src/random';
import { describePersistentStores } from './persistent-stores';
import { turnsProcesses } from './turns-process';

/** RLPA_KILLS=100 kills as often for each store and takes minutes. */
const kills = Number(process.env.RLPA_KILLS ?? 6);
const start = turnsProcesses();

describePersistentStores((store, kind) => {
  it(`holds every turn that was acknowledged before a SIGKILL, ${kills} times`, async () => {
    const random = new Random(1).split(kind);
    /** By user, since each process goes on with what others left. */
    const stored = new Map<string, string[]>();
    for (let kill = 0; kill < kills; kill++) {
      // Every process meets users that others wrote, and one who is new.
      const users = [`user ${kill % 3}`, `new user ${kill}`];
      const process = start({ place: store.place, users, prefix: `kill ${kill}` });
      // Every fifth while it opens the store.
      await (kill % 5 === 4 ? process.ready : process.begun);
      await delay(random.uniform() * 60);
      process.kill();
      await process.ended;
      for (const value of process.stored) {
        const user = users[Number(value.split(' ').at(-1)) % 2]!;
        stored.set(user, [...(stored.get(user) ?? []), value]);
      }
      for (const user of users) {
        const record = await store.open().load(user);
        const values = record?.items.map(({ value }) => value as string) ?? [];
        expect(new Set(values).size).toBe(values.length);
        expect(values.filter((value) => !value.startsWith('kill '))).toEqual([]);
        expect(values).toEqual(expect.arrayContaining(stored.get(user) ?? []));
        expect(record?.turns.map(({ message }) => message.slice('I like '.length)) ?? []).toEqual(values);
        // At most the turn that was being written when a process died may be there without having been acknowledged.
        stored.set(user, values);
      }
    }
    console.info(`${kind}: ${kills} kills, ${[...stored.values()].flat().length} turns kept`);
    expect([...stored.values()].flat().length).toBeGreaterThan(kills);
  }, 600_000);

  it('keeps a user whole, or forgets them, when the process is killed while it erases', async () => {
    const random = new Random(2).split(kind);
    for (let kill = 0; kill < Math.ceil(kills / 3); kill++) {
      const user = `erased ${kill}`;
      const process = start({ place: store.place, users: [user], prefix: `turn of ${kill}`, erase: true });
      await process.begun;
      await delay(random.uniform() * 60);
      process.kill();
      await process.ended;
      const handle = store.open();
      const record = await handle.load(user);
      // One turn at most: the one before was erased.
      expect(record?.items.length ?? 0).toBeLessThanOrEqual(1);
      const erased = process.erased.at(-1);
      if (erased) expect(record?.items.map(({ value }) => value) ?? []).not.toContain(erased);
      await handle.erase(user);
      expect(await handle.load(user)).toBeUndefined();
    }
  }, 600_000);
});
