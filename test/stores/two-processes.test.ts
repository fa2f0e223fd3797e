import { expect, it } from 'vitest';
import { describePersistentStores } from './persistent-stores';
import { turnsProcesses } from './turns-process';

const start = turnsProcesses();

describePersistentStores((store) => {
  it('keeps all of 200 turns of one user that two processes take at once', async () => {
    const processes = ['left', 'right'].map((prefix) => start({ place: store.place, users: ['anna'], prefix, turns: 100 }));
    await Promise.all(processes.map(({ ready }) => ready));
    for (const { begin } of processes) begin();
    await Promise.all(processes.map(({ ended }) => ended));
    const all = ['left', 'right'].flatMap((prefix) => Array.from({ length: 100 }, (_, number) => `${prefix} ${number}`)).sort();
    expect(processes.flatMap(({ stored }) => stored).sort()).toEqual(all);

    const record = (await store.open().load('anna'))!;
    const current = record.items.filter(({ validTo }) => validTo === undefined);
    expect(current.map(({ value }) => value).sort()).toEqual(all);
    expect(record.items).toHaveLength(200);
    expect(new Set(record.items.map(({ id }) => id)).size).toBe(200);
    expect(record.turns.map(({ message }) => message.slice('I like '.length)).sort()).toEqual(all);
    expect(record.version).toBe(200);
  });
});
