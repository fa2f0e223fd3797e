import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { expect, it } from 'vitest';
import { Random } from '../../src/random';
import { addingAgent } from './adding-agent';
import { describePersistentStores } from './persistent-stores';
import type { PostgresServer } from './postgres-server';

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
