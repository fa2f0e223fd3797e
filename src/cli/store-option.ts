import { InvalidArgumentError, Option } from 'commander';
import { memoryStore, type ProfileStore } from '../agent/index';
import type { Terminal } from './terminal';
import { UsageError } from './usage-error';

/** A store with what there is to do when it is not needed any more. */
export interface OpenedStore {
  readonly store: ProfileStore;
  close(): Promise<void>;
}

const kinds = 'memory, file:FOLDER, sqlite:FILE or postgres';

export function storeOption(): Option {
  return new Option('--store <where>', `where profiles are kept: ${kinds}`).argParser(storeAddress).default('memory');
}

/** For the help of every command that has the option. */
export const storeHelp = `
Profiles are kept in memory and end with the command, in a folder (file:profiles), in a database file (sqlite:profiles.db, needs libsql), or
in PostgreSQL (postgres, needs pg), whose address is read from $DATABASE_URL.
`;

function storeAddress(text: string): string {
  if (/^(memory|postgres|(file|sqlite):.+)$/.test(text)) return text;
  if (/^postgres(ql)?:/.test(text)) {
    throw new InvalidArgumentError(
      'Say postgres and put the address into $DATABASE_URL: everybody on this machine can read what stands here.',
    );
  }
  throw new InvalidArgumentError(`Expected ${kinds}.`);
}

/** @throws UsageError for PostgreSQL without an address. What is wrong with a store shows when it is first used. */
export async function openStore(address: string, { env }: Terminal): Promise<OpenedStore> {
  if (address === 'memory') return { store: memoryStore(), close: async () => {} };
  const { fileStore, postgresStore, sqliteStore } = await import('../node/index');
  const place = address.slice(address.indexOf(':') + 1);
  if (address.startsWith('file:')) return { store: fileStore({ folder: place }), close: async () => {} };
  if (address === 'postgres' && !env.DATABASE_URL) throw new UsageError('--store postgres needs DATABASE_URL in the environment.');
  const store = address === 'postgres' ? postgresStore({ database: env.DATABASE_URL! }) : sqliteStore({ database: place });
  return { store, close: () => store.close() };
}
