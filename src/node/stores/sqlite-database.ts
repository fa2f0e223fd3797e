import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RlpaError } from '../../errors';
import { systemCode } from './store-error';

/** What better-sqlite3, libsql and node:sqlite's DatabaseSync have in common, as far as it is needed. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): unknown;
}

export interface SqliteStatement {
  get(...values: (string | number)[]): unknown;
  run(...values: (string | number)[]): { readonly changes: number | bigint };
}

type SqliteDriver = new (path: string) => SqliteDatabase;

/**
 * Opens a file, which is made for its owner alone if it is missing, by libsql or, where that is not installed, by Node itself.
 *
 * @throws RlpaError `missing-dependency`; what the file system and the driver throw
 */
export async function openSqlite(path: string): Promise<SqliteDatabase> {
  const Driver = await loadDriver();
  await mkdir(dirname(path), { recursive: true });
  await makeFile(path);
  return new Driver(path);
}

/** One that is there is not touched: to close it would end the locks that other connections of this process have on it. */
async function makeFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600); // SQLite gives the files that it puts beside this one the same permissions
    await file.close();
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') throw cause;
  }
}

/**
 * Closes a database that is in WAL mode, so that the file is all that there is of it. Drivers do not see to that: libsql keeps the file open
 * until its statements are collected as garbage.
 */
export function closeSqlite(database: SqliteDatabase): void {
  try {
    // Others who have it open keep the log; then as much as possible is brought from there into the file.
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.exec('PRAGMA journal_mode = DELETE');
  } catch {
    // Nothing is lost: who opens the file next reads the log as well.
  }
  database.close();
}

async function loadDriver(): Promise<SqliteDriver> {
  try {
    const { default: Database } = await import('libsql');
    return Database as unknown as SqliteDriver;
  } catch (cause) {
    const builtIn = process.getBuiltinModule('node:sqlite') as { readonly DatabaseSync: SqliteDriver } | undefined;
    if (builtIn) return builtIn.DatabaseSync;
    const message =
      'sqliteStore needs the package libsql (npm install libsql), a Node.js that has node:sqlite, or an open database such as better-sqlite3 gives.';
    throw new RlpaError('missing-dependency', message, { package: 'libsql' }, { cause });
  }
}

/** Another connection holds the lock that a statement needs. */
export function isBusy(cause: unknown): boolean {
  return resultCode(cause, 'SQLITE_BUSY', 5);
}

/** The file, or the folder, may be read and not written. */
export function isReadOnly(cause: unknown): boolean {
  return resultCode(cause, 'SQLITE_READONLY', 8);
}

/** The file is no database, or a damaged one. */
export function isDamaged(cause: unknown): boolean {
  return resultCode(cause, 'SQLITE_NOTADB', 26) || resultCode(cause, 'SQLITE_CORRUPT', 11);
}

/** Drivers give SQLite's result codes as `code: 'SQLITE_BUSY'`, which extended codes begin with, or as a number, of which they are the low byte. */
function resultCode(cause: unknown, name: string, number: number): boolean {
  const { code, errcode } = cause as { readonly code?: unknown; readonly errcode?: unknown };
  return (typeof code === 'string' && code.startsWith(name)) || (typeof errcode === 'number' && (errcode & 0xff) === number);
}
