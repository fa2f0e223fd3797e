import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import pg from 'pg';
import { expect, it } from 'vitest';
import type { UserRecord } from '../../src/agent/index';
import { addingAgent } from './adding-agent';
import { itemOf, recordOf } from './conformance';
import type { StorePlace } from './open-store';
import { describePersistentStores } from './persistent-stores';

const item = itemOf('interests', 'jazz');
const turn = { id: 't1', at: '2026-01-01T00:00:00.000Z', message: 'I like jazz', reply: 'Oh', text: 'Oh' };

/** What may be damaged in a record that is JSON, and what is said of it. */
const damages: [reason: string, damaged: unknown][] = [
  ['expected an object, found null', null],
  ['expected an object, found a list of 0', []],
  ["userId: expected this user's, found another's", recordOf('hans', 1)],
  ['version: expected a whole number from 1, found nothing', { ...recordOf('anna', 1), version: undefined }],
  ['version: expected a whole number from 1, found 0', recordOf('anna', 0)],
  ['items: expected a list, found nothing', recordOf('anna', 1, { items: undefined })],
  ['items: expected a list, found an object', recordOf('anna', 1, { items: { 0: item } })],
  ['items[0]: expected an object, found null', recordOf('anna', 1, { items: [null] })],
  ['items[1]: expected an object, found a list of 1', recordOf('anna', 1, { items: [item, [item]] })],
  ...(['id', 'slot', 'text', 'key', 'validFrom'] as const).map((name): [string, unknown] => [
    `items[1].${name}: expected a text, found nothing`,
    recordOf('anna', 1, { items: [item, { ...item, [name]: undefined }] }),
  ]),
  ['items[0].slot: expected a text, found 3', recordOf('anna', 1, { items: [{ ...item, slot: 3 }] })],
  ['turns: expected a list, found nothing', recordOf('anna', 1, { turns: undefined })],
  ['turns[0]: expected an object, found 5', recordOf('anna', 1, { turns: [5] })],
  ...(['id', 'at', 'message', 'reply', 'text'] as const).map((name): [string, unknown] => [
    `turns[1].${name}: expected a text, found null`,
    recordOf('anna', 1, { turns: [turn, { ...turn, [name]: null }] }),
  ]),
];

/** Puts a text where the store keeps the one record that it has. */
async function overwrite({ kind, at }: StorePlace, text: string): Promise<void> {
  if (kind === 'file') {
    const home = join(at, 'user-anna');
    writeFileSync(join(home, readdirSync(home).find((name) => name.endsWith('.json'))!), text);
  } else if (kind === 'sqlite') {
    const database = new Database(at, {});
    database.prepare('UPDATE rlpa_profiles SET record = ?').run(text);
    database.close();
  } else {
    const client = new pg.Client(at);
    await client.connect();
    await client.query('UPDATE rlpa_profiles SET record = $1', [text]);
    await client.end();
  }
}

describePersistentStores((persistent) => {
  it('names the place, the user, and what is damaged in a record, in a turn as well', async () => {
    const store = persistent.open();
    await store.save(recordOf('anna', 1), 0);
    for (const [reason, damaged] of damages) {
      await overwrite(persistent.place, JSON.stringify(damaged));
      const message = expect.stringMatching(/profiles.*: the record of user "anna" is damaged: /);
      const failure = { code: 'invalid-file', message, details: { userId: 'anna' } };
      const load = store.load('anna');
      await expect(load).rejects.toMatchObject(failure);
      await expect(load).rejects.toThrow(`is damaged: ${reason}.`);
      await expect(addingAgent(store).respond({ userId: 'anna', message: 'I like tea' })).rejects.toMatchObject(failure);
    }
  });

  it('takes a record with whatever else is in it', async () => {
    const store = persistent.open();
    const record: UserRecord = recordOf('anna', 1, {
      items: [{ ...item, value: null, later: [] }],
      turns: [{ ...turn, later: 1 }],
      later: {},
    });
    await overwrite(persistent.place, JSON.stringify(record));
    expect(await store.load('anna')).toEqual(record);
  });
});
