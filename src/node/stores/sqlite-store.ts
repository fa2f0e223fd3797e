import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { withDeadline } from '../../deadline';
import { checkKnown, invalidOption, RlpaError, throwIfAborted } from '../../errors';
import { checkDatabaseOptions, type DatabaseProfileStore, type DatabaseStoreOptions } from './database-store';
import { closeSqlite, isBusy, isDamaged, isReadOnly, openSqlite, type SqliteDatabase, type SqliteStatement } from './sqlite-database';
import { storeError } from './store-error';
import { readRecord, writeRecord } from './stored-record';
import { userKey } from './user-key';

export type { SqliteDatabase, SqliteStatement } from './sqlite-database';

export interface SqliteStoreOptions extends DatabaseStoreOptions {
  /**
   * The path of a file, or an open database: better-sqlite3, libsql, or node:sqlite's DatabaseSync. Of that one the store turns `synchronous`
   * to FULL and `secure_delete` on; its journal mode and busy timeout stay as they are.
   */
  readonly database: string | SqliteDatabase;
}

interface Connection {
  readonly database: SqliteDatabase;
  readonly load: SqliteStatement;
  readonly insert: SqliteStatement;
  readonly update: SqliteStatement;
  readonly erase: SqliteStatement;
  readonly truncateLog: SqliteStatement;
}

/**
 * Keeps users' records in a table of a SQLite database, one row a user. Many processes of one machine may use one file: it is in WAL mode, a
 * write is on disk when it is acknowledged, and who meets a lock waits without blocking the event loop. An erasure overwrites what it
 * deletes, and empties the log.
 *
 * Methods throw `store-failed`, `timeout`, `aborted`, `missing-dependency`, and `invalid-file` for a file or a record that is damaged, which is
 * left as it is.
 *
 * @throws RlpaError `invalid-option`
 * @example
 * import { openAIChat, PersonalizedAgent, ProfileSchema } from 'rlpa';
 * import { sqliteStore } from 'rlpa/node';
 * const store = sqliteStore({ database: './profiles.sqlite' });
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: openAIChat({ model: 'gpt-4o-mini' }), store });
 */
export function sqliteStore(options: SqliteStoreOptions): DatabaseProfileStore {
  checkKnown('sqliteStore', options, { database: true, table: true, timeoutMs: true });
  const { table, timeoutMs } = checkDatabaseOptions('sqliteStore', options);
  const given = options.database;
  if (given === '' || (typeof given !== 'string' && typeof given?.prepare !== 'function'))
    throw invalidOption('sqliteStore', 'database', 'the path of a file, or an open database', given);
  // A driver would take it for another place than the file that is made for the owner alone. One letter is a drive of Windows.
  if (typeof given === 'string' && /^\s*(?::memory:|[a-z][a-z\d+.-]+:)/i.test(given)) {
    const expected = 'the path of a file (memoryStore() needs none, and a URL is for a database that you open yourself)';
    throw invalidOption('sqliteStore', 'database', expected, given, true);
  }
  const place = typeof given === 'string' ? given : 'The SQLite database';
  let connection: Promise<Connection> | undefined;
  let closing: Promise<void> | undefined;

  async function connect(): Promise<Connection> {
    const database = typeof given === 'string' ? await openSqlite(given) : given;
    try {
      if (typeof given === 'string') prepareFile(database);
      database.exec(`PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
        CREATE TABLE IF NOT EXISTS ${table} (user_key TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL)`);
      return {
        database,
        load: database.prepare(`SELECT record FROM ${table} WHERE user_key = ?`),
        insert: database.prepare(`INSERT INTO ${table} (user_key, version, record) VALUES (?, ?, ?) ON CONFLICT (user_key) DO NOTHING`),
        update: database.prepare(`UPDATE ${table} SET version = ?, record = ? WHERE user_key = ? AND version = ?`),
        erase: database.prepare(`DELETE FROM ${table} WHERE user_key = ?`),
        truncateLog: database.prepare('PRAGMA wal_checkpoint(TRUNCATE)'),
      };
    } catch (cause) {
      if (typeof given === 'string') database.close();
      throw cause;
    }
  }

  /** The one connection; opening it is tried again when it failed. */
  function opened(): Promise<Connection> {
    if (!connection) {
      connection = connect();
      connection.catch(() => {
        connection = undefined;
      });
    }
    return connection;
  }

  async function disconnect(): Promise<void> {
    const open = await connection?.catch(() => undefined);
    connection = undefined; // and with it the statements
    if (open && typeof given === 'string') closeSqlite(open.database);
  }

  /** Does the work as soon as no lock is in its way. Each `work` is one statement, so it is done or not, and never both. */
  async function access<T>(signal: AbortSignal | undefined, work: (connection: Connection) => T): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(signal);
      if (closing) throw new RlpaError('store-failed', `${place}: the store is closed.`, { store: place });
      try {
        const open = await opened();
        throwIfAborted(signal);
        return work(open);
      } catch (cause) {
        if (isDamaged(cause)) throw new RlpaError('invalid-file', `${place}: ${(cause as Error).message}`, { file: place }, { cause });
        if (!isBusy(cause) && !(cause instanceof LogInUse)) throw storeError(place, cause, signal);
      }
      await delay(randomInt(1, 2 + Math.min(2 ** attempt, 32)), undefined, { signal }).catch(() => {});
    }
  }

  const within = <T>(signal: AbortSignal | undefined, work: (deadline: AbortSignal) => Promise<T>) =>
    withDeadline(place, timeoutMs, signal, work);

  return {
    load: (userId, signal) =>
      within(signal, async (deadline) => {
        const row = await access(deadline, ({ load }) => load.get(userKey(userId)) as { readonly record: string } | undefined);
        return row && readRecord(row.record, userId, place);
      }),
    async save(record, basedOn, signal) {
      const text = writeRecord(record);
      const key = userKey(record.userId);
      return within(signal, (deadline) =>
        access(deadline, ({ insert, update }) => {
          const { changes } = basedOn === 0 ? insert.run(key, record.version, text) : update.run(record.version, text, key, basedOn);
          return Number(changes) > 0;
        }),
      );
    },
    erase: (userId, signal) =>
      within(signal, async (deadline) => {
        const erased = await access(deadline, ({ erase }) => Number(erase.run(userKey(userId)).changes) > 0);
        // What was written of the user before stands in the log until that is emptied, which readers of other connections can delay.
        await access(deadline, ({ truncateLog }) => {
          const { busy } = truncateLog.get() as { readonly busy: number };
          if (busy) throw new LogInUse();
        });
        return erased;
      }),
    close() {
      closing ??= disconnect();
      return closing;
    },
  };
}

/** A file that may only be read stays as it is. */
function prepareFile(database: SqliteDatabase): void {
  database.exec('PRAGMA busy_timeout = 0');
  try {
    database.exec('PRAGMA journal_mode = WAL');
  } catch (cause) {
    if (!isReadOnly(cause)) throw cause;
  }
}

/** A connection reads from the log, which cannot be emptied now. */
class LogInUse extends Error {}
