import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import Database from 'libsql';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/agent/index';
import { type DatabaseProfileStore, fileStore, postgresStore, sqliteStore } from '../../src/node/index';
import { temporaryFolder } from '../node/temporary-folder';
import { addingAgent } from './adding-agent';
import { recordOf } from './conformance';
import { describeWithPostgres, type PostgresServer, startPostgres } from './postgres-server';

/** How often the event loop came round while something was waited for. */
async function turnsOfTheLoop(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  await work.catch(() => {});
  clearInterval(timer);
  return turns;
}

describe('an agent', () => {
  it('is not discouraged by others who get ahead of it, as long as they do write', async () => {
    const shared = memoryStore();
    let overtaken = 0;
    const store = {
      ...shared,
      save: async (...[record, basedOn]: Parameters<typeof shared.save>) => {
        if (overtaken++ < 25) await shared.save(recordOf(record.userId, record.version, { items: [] }), basedOn);
        return shared.save(record, basedOn);
      },
    };
    const turn = await addingAgent(store).respond({ userId: 'anna', message: 'I like jazz' });
    expect(turn.problem).toBeUndefined();
    expect((await shared.load('anna'))?.version).toBe(26);
  });
});

describe('fileStore', () => {
  const root = temporaryFolder();
  let folder: string;
  let home: string;
  let tests = 0;
  beforeEach(async () => {
    folder = join(root, String(++tests));
    home = join(folder, 'user-anna');
    await fileStore({ folder }).save(recordOf('anna', 1, { text: 'ä' }), 0);
    await fileStore({ folder }).save(recordOf('anna', 2, { text: 'ä' }), 1);
  });
  const recordFile = () => join(home, readdirSync(home).find((name) => name.endsWith('.json'))!);

  it('keeps one record a user, for the owner of the process alone', async () => {
    expect(readdirSync(home)).toHaveLength(2);
    expect(JSON.parse(readFileSync(recordFile(), 'utf8'))).toEqual(recordOf('anna', 2, { text: 'ä' }));
  });

  it.each([
    ['cut off', (bytes: Buffer) => bytes.subarray(0, -1), /not JSON/],
    ['empty', () => Buffer.alloc(0), /not JSON/],
    ['not text', (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('Ã', '\xff'), 'latin1'), /not UTF-8/],
    ['another user’s', (bytes: Buffer) => Buffer.from(bytes.toString().replace('anna', 'hans')), /record of user "anna"/],
    ['no record', () => Buffer.from('[]'), /record of user "anna"/],
    ['without what is known', () => Buffer.from('{"userId":"anna","version":2}'), /record of user "anna"/],
  ])('names a record that is %s, and keeps it', async (_what, damage, reason) => {
    const path = recordFile();
    const damaged = damage(readFileSync(path));
    writeFileSync(path, damaged);
    const failure = { code: 'invalid-file', message: expect.stringMatching(reason), details: { file: path } };
    await expect(fileStore({ folder }).load('anna')).rejects.toMatchObject(failure);
    await expect(addingAgent(fileStore({ folder })).respond({ userId: 'anna', message: 'I like tea' })).rejects.toMatchObject(failure);
    expect(readFileSync(path)).toEqual(damaged);
    expect(await fileStore({ folder }).erase('anna')).toBe(true);
    expect(readdirSync(folder)).toEqual(['.aside']);
  });

  it.each(['.json', '.current'])('says so when a %s file is gone', async (suffix) => {
    rmSync(join(home, readdirSync(home).find((name) => name.endsWith(suffix))!));
    await expect(fileStore({ folder }).load('anna')).rejects.toMatchObject({ code: 'invalid-file', details: { file: home } });
  });

  it('is not held up by what a process that died has left, and takes it away', async () => {
    writeFileSync(join(home, '0011223344556677.8899aabbccddeeff.json'), '{"half a rec');
    mkdirSync(join(folder, '.aside', 'user-anna.0011223344556677'));
    mkdirSync(join(folder, '.aside', 'user-new.0011223344556677'));
    const store = fileStore({ folder });
    expect(await store.load('anna')).toMatchObject({ version: 2 });
    expect(await store.save(recordOf('anna', 3), 2)).toBe(true);
    expect(readdirSync(home)).toHaveLength(2);
    expect(await store.load('new')).toBeUndefined();
    expect(await store.save(recordOf('new', 1), 0)).toBe(true);
    expect(readdirSync(join(folder, '.aside'))).toEqual(['user-anna.0011223344556677']);
    expect(await store.erase('anna')).toBe(true);
    expect(readdirSync(join(folder, '.aside'))).toEqual([]);
  });

  it('finishes an erasure that was broken off', async () => {
    mkdirSync(join(folder, '.aside', 'user-hans.0011223344556677'));
    expect(await fileStore({ folder }).load('hans')).toBeUndefined();
    expect(await fileStore({ folder }).erase('hans')).toBe(true);
    expect(readdirSync(join(folder, '.aside'))).toEqual([]);
  });

  it('says where it cannot write', async () => {
    const store = fileStore({ folder: recordFile() });
    const failure = { code: 'store-failed', message: expect.stringContaining(recordFile()) };
    await expect(store.save(recordOf('hans', 1), 0)).rejects.toMatchObject(failure);
  });
});

describe('sqliteStore', () => {
  const root = temporaryFolder();
  let path: string;
  let store: DatabaseProfileStore;
  let tests = 0;
  beforeEach(async () => {
    path = join(root, `${++tests}.sqlite`);
    store = sqliteStore({ database: path, timeoutMs: 300 });
    await store.save(recordOf('anna', 1), 0);
  });
  afterEach(() => store.close());

  it('waits for a lock without holding up the process, and gives up in time', async () => {
    const other = new Database(path, {});
    other.exec('BEGIN IMMEDIATE');
    const saved = store.save(recordOf('anna', 2), 1);
    expect(await turnsOfTheLoop(saved)).toBeGreaterThan(5);
    await expect(saved).rejects.toMatchObject({ code: 'timeout', message: expect.stringContaining(path) });
    const aborted = store.save(recordOf('anna', 2), 1, AbortSignal.timeout(20));
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
    expect(await store.load('anna')).toMatchObject({ version: 1 });
    const patient = store.save(recordOf('anna', 2), 1);
    setTimeout(() => other.exec('COMMIT'), 50);
    expect(await patient).toBe(true);
    other.close();
  });

  it('does not call an erasure done while a reader keeps the log', async () => {
    const other = new Database(path, {});
    other.exec('BEGIN');
    other.prepare('SELECT count(*) FROM rlpa_profiles').get();
    await store.save(recordOf('anna', 2), 1);
    await expect(store.erase('anna')).rejects.toMatchObject({ code: 'timeout' });
    other.exec('COMMIT');
    other.close();
    await store.erase('anna');
    expect(readFileSync(`${path}-wal`)).toHaveLength(0);
  });

  it('names a file that is no database, and keeps it', async () => {
    const wrong = join(root, 'notes.txt');
    writeFileSync(wrong, 'My notes. '.repeat(1000));
    const failure = { code: 'invalid-file', details: { file: wrong }, message: expect.stringContaining('not a database') };
    await expect(sqliteStore({ database: wrong }).load('anna')).rejects.toMatchObject(failure);
    await expect(sqliteStore({ database: wrong }).save(recordOf('anna', 1), 0)).rejects.toMatchObject(failure);
    expect(readFileSync(wrong, 'utf8')).toBe('My notes. '.repeat(1000));
  });

  it('names the file of a row that is not a record', async () => {
    const other = new Database(path, {});
    other.exec(`UPDATE rlpa_profiles SET record = 'half a rec'`);
    other.close();
    await expect(store.load('anna')).rejects.toMatchObject({ code: 'invalid-file', details: { file: path } });
  });

  it('says where it cannot open a file', async () => {
    const failure = { code: 'store-failed', message: expect.stringContaining(root) };
    await expect(sqliteStore({ database: root }).load('anna')).rejects.toMatchObject(failure);
  });

  it('can be closed more than once, and is over then', async () => {
    await Promise.all([store.close(), store.close()]);
    await store.close();
    const failure = { code: 'store-failed', message: `${path}: the store is closed.` };
    await expect(store.load('anna')).rejects.toMatchObject(failure);
    await expect(store.save(recordOf('anna', 2), 1)).rejects.toMatchObject(failure);
    await expect(store.erase('anna')).rejects.toMatchObject(failure);
  });

  it('lives beside the tables of an application, in a database that it neither opens nor closes', async () => {
    const database = new Database(join(root, 'application.sqlite'), {});
    const inside = sqliteStore({ database, table: 'profiles' });
    await inside.save(recordOf('anna', 1), 0);
    await inside.close();
    expect(database.prepare('SELECT user_key, version FROM profiles').get()).toMatchObject({ user_key: 'anna', version: 1 });
    database.close();
  });
});

describeWithPostgres('postgresStore', () => {
  let server: PostgresServer;
  let store: DatabaseProfileStore;
  beforeAll(async () => {
    server = await startPostgres();
    store = postgresStore({ database: server.url, timeoutMs: 300 });
    await store.save(recordOf('anna', 1), 0);
  });
  afterAll(async () => {
    await store.close();
    await server.remove();
  });
  const client = async () => {
    const connected = new pg.Client(server.url);
    await connected.connect();
    return connected;
  };

  it('waits for a lock, and gives up in time', async () => {
    const other = await client();
    await other.query("BEGIN; UPDATE rlpa_profiles SET version = version WHERE user_key = 'anna'");
    const failure = { code: 'timeout', message: expect.stringContaining('PostgreSQL') };
    await expect(store.erase('anna')).rejects.toMatchObject(failure);
    await expect(store.erase('anna', AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'aborted' });
    // The server may still do what it had begun, unless its connections are ended, as an administrator or its statement_timeout would.
    await other.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = $1', ['Lock']);
    const patient = store.save(recordOf('anna', 2), 1);
    const freed = delay(50).then(() => other.query('ROLLBACK'));
    expect(await patient).toBe(true);
    // the store may hear of it first
    await freed;
    await other.end();
  });

  it('honours the server’s own limit on statements', async () => {
    const url = `${server.url}&statement_timeout=30`;
    const limited = postgresStore({ database: url });
    const other = await client();
    await other.query("BEGIN; UPDATE rlpa_profiles SET version = version WHERE user_key = 'anna'");
    const failure = { code: 'timeout', message: expect.stringContaining('statement timeout') };
    await expect(limited.erase('anna')).rejects.toMatchObject(failure);
    await other.query('ROLLBACK');
    await other.end();
    await limited.close();
  });

  it('refuses a write that another one got ahead of where transactions are serializable', async () => {
    const url = `${server.url}&options=${encodeURIComponent('-c default_transaction_isolation=serializable')}`;
    const stores = [1, 2, 3, 4].map(() => postgresStore({ database: url }));
    await stores[0]!.save(recordOf('serial', 1), 0);
    for (let version = 2; version < 8; version++) {
      const saved = await Promise.all(stores.map((one) => one.save(recordOf('serial', version), version - 1)));
      expect(saved.filter(Boolean)).toHaveLength(1);
    }
    await Promise.all(stores.map((one) => one.close()));
  });

  it.each([
    ['that nobody listens at', async () => 1],
    [
      'of something else',
      async () => {
        const stranger = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
        await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
        stranger.unref();
        return (stranger.address() as { port: number }).port;
      },
    ],
  ])('says which database is not there: a port %s', async (_what, port) => {
    const url = `postgres://rlpa:secret@127.0.0.1:${await port()}/profiles`;
    const absent = postgresStore({ database: url });
    const failure = await absent.load('anna').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'store-failed', message: expect.stringMatching(/^PostgreSQL at 127\.0\.0\.1:\d+\/profiles: ./) });
    expect(inspect(failure)).not.toContain('secret');
    await absent.close();
  });

  it('gives up in time on a server that never answers', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const absent = postgresStore({ database: `postgres://a@127.0.0.1:${port}/b`, timeoutMs: 100 });
    const failure = { message: expect.stringMatching(/^PostgreSQL at 127\.0\.0\.1/) };
    await expect(absent.load('anna')).rejects.toMatchObject(failure);
    await absent.close();
    silent.close();
  });

  it('can be closed more than once, and is over then', async () => {
    const closed = postgresStore({ database: server.url });
    await closed.load('anna');
    await Promise.all([closed.close(), closed.close()]);
    await closed.close();
    const failure = { code: 'store-failed', message: expect.stringMatching(/^PostgreSQL at .*: the store is closed\.$/) };
    await expect(closed.load('anna')).rejects.toMatchObject(failure);
    await expect(closed.save(recordOf('anna', 9), 8)).rejects.toMatchObject(failure);
    await expect(closed.erase('anna')).rejects.toMatchObject(failure);
  });

  it('holds every acknowledged record when the server crashes, and connects again', async () => {
    let version = 0;
    const writing = (async () => {
      for (;;) {
        await store.save(recordOf('crash', version + 1), version);
        version++;
      }
    })();
    const failed = expect(writing).rejects.toMatchObject({ code: 'store-failed' });
    while (version < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    await server.stop('immediate');
    await failed;
    await server.start();
    const kept = (await store.load('crash'))!.version;
    expect([version, version + 1]).toContain(kept);
  });

  it('names the table of a row that is not a record', async () => {
    const other = await client();
    await store.save(recordOf('damaged', 1), 0);
    await other.query(`UPDATE rlpa_profiles SET record = '[]' WHERE user_key = 'damaged'`);
    await other.end();
    await expect(store.load('damaged')).rejects.toMatchObject({ code: 'invalid-file', message: expect.stringContaining('rlpa_profiles') });
  });

  it('takes a pool or a client of the application, and a table of its own in a schema', async () => {
    const pool = new pg.Pool({ connectionString: server.url });
    const single = await client();
    await pool.query('CREATE SCHEMA app');
    const stores = [postgresStore({ database: pool, table: 'app.profiles' }), postgresStore({ database: single, table: 'app.profiles' })];
    expect(await stores[0]!.load('anna')).toBeUndefined();
    expect(await stores[1]!.save(recordOf('anna', 1), 0)).toBe(true);
    expect(await stores[0]!.save(recordOf('anna', 2), 1)).toBe(true);
    expect(await stores[1]!.load('anna')).toEqual(recordOf('anna', 2));
    for (const one of stores) await one.close();
    expect((await pool.query('SELECT user_key, record->>$1 AS id FROM app.profiles', ['userId'])).rows).toEqual([
      { user_key: 'anna', id: 'anna' },
    ]);
    await single.end();
    await pool.end();
  });
});
