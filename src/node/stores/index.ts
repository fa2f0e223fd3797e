export type { DatabaseProfileStore } from './database-store';
export { type FileStoreOptions, fileStore } from './file-store';
export {
  type PostgresClient,
  type PostgresConnection,
  type PostgresPool,
  type PostgresStoreOptions,
  postgresStore,
} from './postgres-store';
export { type SqliteDatabase, type SqliteStatement, type SqliteStoreOptions, sqliteStore } from './sqlite-store';
