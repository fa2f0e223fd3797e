import { withDeadline } from '../../deadline';
import { checkKnown, invalidOption, RlpaError, throwIfAborted } from '../../errors';
import { checkDatabaseOptions, type DatabaseProfileStore, type DatabaseStoreOptions } from './database-store';
import { storeError, systemCode } from './store-error';
import { readRecord, writeRecord } from './stored-record';
import { userKey } from './user-key';

/** One connection, such as pg's Client, which its owner has connected. */
export interface PostgresClient {
  query(sql: string, values?: unknown[]): Promise<{ readonly rows: unknown[] }>;
}

/** A connection that a pool has lent. */
export interface PostgresConnection extends PostgresClient {
  /** @param destroy the connection is not to be used again */
  release(destroy?: boolean): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** Such as pg's Pool. */
export interface PostgresPool {
  connect(): Promise<PostgresConnection>;
  readonly totalCount: number;
}

export interface PostgresStoreOptions extends DatabaseStoreOptions {
  /** A connection string (`postgres://user@host/database`), or a pool or client of the application. */
  readonly database: string | PostgresPool | PostgresClient;
  /**
   * `erase` also writes the table anew, without the bytes of rows that were deleted or replaced, which PostgreSQL keeps in the table's files
   * otherwise. Nobody else reads or writes the table meanwhile, and the role must own it. Default false.
   */
  readonly rewriteOnErase?: boolean | undefined;
}

/** SQLSTATE: what a statement failed for. */
const undefinedTable = '42P01';
const serializationFailure = '40001';
/** By the server's `statement_timeout`, or by its administrator. */
const queryCanceled = '57014';
/** Another process made the table at the same time. */
const alreadyMade = new Set(['42P07', '23505']);

/**
 * Keeps users' records in a table of a PostgreSQL database, one row a user: `user_key`, `version` and the record as `json`. The table is made
 * with the first record if it is missing.
 *
 * Methods throw `store-failed`, `timeout`, `aborted`, `missing-dependency`, and `invalid-file` for a row that is not a record. A call that is given
 * up drops its connection; what the server has begun by then it may still do, for as long as its `statement_timeout` says.
 *
 * @throws RlpaError `invalid-option`
 * @example
 * import { openAIChat, PersonalizedAgent, ProfileSchema } from 'rlpa';
 * import { postgresStore } from 'rlpa/node';
 * const store = postgresStore({ database: process.env.DATABASE_URL! });
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: openAIChat({ model: 'gpt-4o-mini' }), store });
 */
export function postgresStore(options: PostgresStoreOptions): DatabaseProfileStore {
  checkKnown('postgresStore', options, { database: true, rewriteOnErase: true, table: true, timeoutMs: true });
  const { table, timeoutMs } = checkDatabaseOptions('postgresStore', options);
  const { database, rewriteOnErase = false } = options;
  if (database === '' || (typeof database !== 'string' && !isPool(database) && typeof database?.query !== 'function'))
    throw invalidOption('postgresStore', 'database', 'a connection string, or a pool or client of pg', database);
  if (typeof database === 'string' && !isConnectionString(database)) {
    const expected = 'a connection string like postgres://user@host/database, with %-codes for what is special in a password';
    throw invalidOption('postgresStore', 'database', expected, database, true);
  }
  const place = typeof database === 'string' ? nameOf(database) : 'PostgreSQL';
  // VACUUM (FULL) would take along what a transaction somewhere may still see. This takes what is in force, and everything of it is new: the
  // addition keeps the server from finding out that nothing changes.
  const rewrite = `ALTER TABLE ${table} ALTER COLUMN version TYPE bigint USING version + 0`;
  let ownPool: ReturnType<typeof openPool> | undefined;
  let closing: Promise<void> | undefined;

  async function lend(): Promise<PostgresConnection> {
    if (typeof database === 'string') {
      ownPool ??= openPool(database, timeoutMs);
      return (await ownPool).connect();
    }
    if (isPool(database)) return database.connect();
    return { query: (sql, values) => database.query(sql, values), release: () => {}, on: () => {}, off: () => {} };
  }

  async function endPool(): Promise<void> {
    await (await ownPool?.catch(() => undefined))?.end();
  }

  /** The rows of one statement, which is a transaction of its own. */
  function query<Row>(signal: AbortSignal | undefined, sql: string, values?: unknown[]): Promise<Row[]> {
    return withDeadline(place, timeoutMs, signal, async (deadline) => {
      if (closing) throw new RlpaError('store-failed', `${place}: the store is closed.`, { store: place });
      try {
        const connection = await lend();
        // A connection that breaks between two statements says so by an event, which would end the process if nobody heard it.
        const ignore = () => {};
        connection.on('error', ignore);
        let release = (destroy: boolean) => {
          release = () => {};
          connection.off('error', ignore);
          connection.release(destroy);
        };
        const giveUp = () => release(true);
        deadline.addEventListener('abort', giveUp, { once: true });
        try {
          throwIfAborted(deadline);
          const { rows } = await connection.query(sql, values);
          return rows as Row[];
        } finally {
          deadline.removeEventListener('abort', giveUp);
          release(deadline.aborted);
        }
      } catch (cause) {
        if (systemCode(cause) === queryCanceled) throw new RlpaError('timeout', `${place}: ${(cause as Error).message}`, {}, { cause });
        throw storeError(place, cause, deadline);
      }
    });
  }

  async function insert(signal: AbortSignal | undefined, values: unknown[]): Promise<unknown[]> {
    const sql = `INSERT INTO ${table} (user_key, version, record) VALUES ($1, $2, $3) ON CONFLICT (user_key) DO NOTHING RETURNING version`;
    try {
      return await query(signal, sql, values);
    } catch (error) {
      if (sqlState(error) !== undefinedTable) throw error;
    }
    // Statistics would quote keys, also of users who have been erased since.
    const make = `CREATE TABLE IF NOT EXISTS ${table} (user_key text PRIMARY KEY, version bigint NOT NULL, record json NOT NULL);
      ALTER TABLE ${table} ALTER COLUMN user_key SET STATISTICS 0`;
    await query(signal, make).catch(otherwise(alreadyMade, []));
    return query(signal, sql, values);
  }

  return {
    async load(userId, signal) {
      // As text, whatever the client makes of json.
      const sql = `SELECT record::text AS record FROM ${table} WHERE user_key = $1`;
      const rows = query<{ readonly record: string }>(signal, sql, [userKey(userId)]);
      const [row] = await rows.catch(otherwise(new Set([undefinedTable]), []));
      return row && readRecord(row.record, userId, `${place}, table ${table}`);
    },
    async save(record, basedOn, signal) {
      const { version } = record;
      const text = writeRecord(record);
      const key = userKey(record.userId);
      const update = `UPDATE ${table} SET version = $3, record = $4 WHERE user_key = $1 AND version = $2 RETURNING version`;
      const written = basedOn === 0 ? insert(signal, [key, version, text]) : query(signal, update, [key, basedOn, version, text]);
      // Where transactions are serializable by default, a write that another one got ahead of fails instead of finding no row.
      const rows = await written.catch(otherwise(new Set([undefinedTable, serializationFailure]), []));
      return rows.length > 0;
    },
    async erase(userId, signal) {
      const sql = `DELETE FROM ${table} WHERE user_key = $1 RETURNING version`;
      const rows = await query(signal, sql, [userKey(userId)]).catch(otherwise(new Set([undefinedTable]), []));
      // Also where there was no row: an erasure that ran out of time has left the rest to this one.
      if (rewriteOnErase) await query(signal, rewrite).catch(otherwise(new Set([undefinedTable]), []));
      return rows.length > 0;
    },
    close() {
      closing ??= endPool();
      return closing;
    },
  };
}

function isPool(database: PostgresPool | PostgresClient): database is PostgresPool {
  return typeof (database as Partial<PostgresPool> | undefined)?.totalCount === 'number';
}

async function openPool(connectionString: string, timeoutMs: number): Promise<PostgresPool & { end(): Promise<void> }> {
  let Pool: typeof import('pg').Pool;
  try {
    ({ Pool } = (await import('pg')).default);
  } catch (cause) {
    const message = 'postgresStore needs the package pg to open a connection string: npm install pg';
    throw new RlpaError('missing-dependency', message, { package: 'pg' }, { cause });
  }
  const pool = new Pool({ connectionString, connectionTimeoutMillis: timeoutMs, allowExitOnIdle: true });
  pool.on('error', () => {}); // an idle connection that broke; the pool has dropped it
  return pool;
}

/** One that pg understands: a URL, or the path of a socket's folder. It takes all other texts for names of a database at a host `base`. */
function isConnectionString(text: string): boolean {
  if (text.startsWith('/')) return true;
  // It would drop what follows a #, which is the rest of a password.
  return /^(?:pg:\/|postgres(?:ql)?:\/|socket:)[^#]*$/i.test(text) && (URL.canParse(text) || URL.canParse(withHost(text)));
}

/** pg takes a URL without a host, which URLs with a user cannot be. */
function withHost(connectionString: string): string {
  return connectionString.replace('@/', '@localhost/');
}

/** Host and database of a connection string: what an error may name. */
function nameOf(connectionString: string): string {
  if (connectionString.startsWith('/')) return `PostgreSQL at ${connectionString.split(' ', 1)}`;
  const { host, pathname, search, searchParams } = new URL(URL.canParse(connectionString) ? connectionString : withHost(connectionString));
  // A password with / or ? in it ends there, and what is left of it stands before the @ where the database should.
  if (`${pathname}${search}`.includes('@')) return 'PostgreSQL';
  return `PostgreSQL at ${searchParams.get('host') || host || 'localhost'}${pathname}`;
}

/** The SQLSTATE that a statement failed with. */
function sqlState(error: unknown): string | undefined {
  return systemCode((error as Error).cause);
}

/** Takes failures of these kinds for `value`. */
function otherwise<T>(states: ReadonlySet<string>, value: T): (error: unknown) => T {
  return (error) => {
    if (states.has(sqlState(error) ?? '')) return value;
    throw error;
  };
}
