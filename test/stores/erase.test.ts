import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { expect, it } from 'vitest';
import { postgresStore } from '../../src/node/index';
import { Random } from '../../src/random';
import { addingAgent } from './adding-agent';
import { describePersistentStores } from './persistent-stores';
import { describeWithPostgres, type PostgresServer, startPostgres } from './postgres-server';

/** Files under a folder in whose name or bytes the word stands. */
function filesWith(word: string, folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => {
      const path = join(folder, name);
      return name.includes(word) || (statSync(path).isFile() && readFileSync(path).includes(word));
    })
    .sort();
}

async function administrate(server: PostgresServer, ...statements: string[]): Promise<void> {
  const client = new pg.Client(server.url);
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

/** Stands in the id, in a message and in a value of the user who is erased, and nowhere else. */
const mark = 'quetzalcoatl';

describePersistentStores((store) => {
  it('has no trace of a user who was exported and erased, and all of the others', async () => {
    const random = new Random(1);
    const agents = [addingAgent(store.open()), addingAgent(store.open())];
    const turn = (userId: string, value: string) => agents[random.integer(2)]!.respond({ userId, message: `I like ${value}` });
    // Records of all sizes that grow in turns, so that pages and files are split, freed and used again.
    const others = Array.from({ length: 12 }, (_, i) => `user ${i}`);
    for (let round = 0; round < 60; round++) {
      const other = others[random.integer(others.length)]!;
      await turn(other, `${'a long story '.repeat(random.integer(40))}${round}`);
      if (round % 3 === 0) await turn(`${mark} himself`, `${mark} number ${round} ${'and more '.repeat(random.integer(60))}`);
    }
    if (store.server) await administrate(store.server, 'ANALYZE');
    const handle = store.open();
    const before = await Promise.all(others.map((user) => handle.load(user)));
    const exported = await agents[0]!.export(`${mark} himself`);
    expect(exported?.items).toHaveLength(20);
    expect(exported?.turns).toHaveLength(20);
    expect(filesWith(mark, store.folder)).not.toEqual([]);

    expect(await agents[1]!.erase(`${mark} himself`)).toBe(true);
    expect(await agents[0]!.export(`${mark} himself`)).toBeUndefined();
    expect(await Promise.all(others.map((user) => handle.load(user)))).toEqual(before);

    if (!store.server) {
      expect(filesWith(mark, store.folder)).toEqual([]);
      return;
    }
    // PostgreSQL: no row, and nothing in a dump; nothing in the server's files either once its administrator has done what docs/stores.md says.
    expect(await store.server.dump()).toContain('a long story');
    expect(await store.server.dump()).not.toContain(mark);
    await administrate(store.server, 'ALTER SYSTEM SET wal_recycle = off', 'SELECT pg_reload_conf()');
    await administrate(store.server, 'VACUUM (FULL) rlpa_profiles', 'SELECT pg_switch_wal()', 'CHECKPOINT');
    expect(filesWith(mark, store.folder)).toEqual([]);
  });
});

describeWithPostgres('postgresStore({ rewriteOnErase: true })', () => {
  const table = 'app_profiles';

  it('has no trace of who was erased in the files of its tables, whatever transactions are open, and all of the others', async () => {
    const server = await startPostgres();
    const store = postgresStore({ database: server.url, table, rewriteOnErase: true });
    const reader = new pg.Client(server.url);
    try {
      const agent = addingAgent(store);
      // Large ones are kept apart, in the TOAST table.
      for (let turn = 0; turn < 12; turn++) {
        await agent.respond({ userId: `${mark} himself`, message: `I like ${mark} number ${turn}` });
        for (const user of ['ann', 'ben']) await agent.respond({ userId: user, message: `I like ${turn} ${new Random(turn).uint32()}` });
      }
      const before = await Promise.all(['ann', 'ben'].map((user) => store.load(user)));
      await administrate(server, 'CHECKPOINT');
      const inTables = () => filesWith(mark, server.data).filter((name) => !name.startsWith('pg_wal'));
      expect(inTables()).not.toEqual([]);

      // It may still see the row, for all that VACUUM knows.
      await reader.connect();
      await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
      expect(await store.erase(`${mark} himself`)).toBe(true);
      expect(inTables()).toEqual([]);
      await administrate(server, 'CHECKPOINT');
      expect(inTables()).toEqual([]);
      expect(await Promise.all(['ann', 'ben'].map((user) => store.load(user)))).toEqual(before);
      expect(await store.erase(`${mark} himself`)).toBe(false);
      await agent.respond({ userId: 'ann', message: 'I like figs' });
      expect((await agent.export('ann'))!.items).toHaveLength(13);
    } finally {
      await reader.end();
      await store.close();
      await server.remove();
    }
  });

  it('does what an erasure that ran out of time has left', async () => {
    const server = await startPostgres();
    const [store, hasty] = [5000, 300].map((timeoutMs) => postgresStore({ database: server.url, table, timeoutMs, rewriteOnErase: true }));
    const reader = new pg.Client(server.url);
    try {
      expect(await store!.erase('nobody')).toBe(false); // there is no table yet
      await addingAgent(store!).respond({ userId: mark, message: 'I like tea' });
      await administrate(server, 'CHECKPOINT');
      await reader.connect();
      await reader.query(`BEGIN; SELECT count(*) FROM ${table}`);
      await expect(hasty!.erase(mark)).rejects.toMatchObject({ code: 'timeout' });
      await reader.query('COMMIT');
      expect(await store!.load(mark)).toBeUndefined();
      expect(await store!.erase(mark)).toBe(false);
      expect(filesWith(mark, server.data).filter((name) => !name.startsWith('pg_wal'))).toEqual([]);
    } finally {
      await reader.end();
      await Promise.all([store!.close(), hasty!.close()]);
      await server.remove();
    }
  });
});
