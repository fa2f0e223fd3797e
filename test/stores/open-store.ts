import type { ProfileStore } from '../../src/agent/index';
import { fileStore, postgresStore, sqliteStore } from '../../src/node/stores/index';

/** A store of this kind over what lies at `at`: a folder, a file, or a database. Another process can open it by the same two strings. */
export interface StorePlace {
  readonly kind: 'file' | 'sqlite' | 'postgres';
  readonly at: string;
}

export function openStore({ kind, at }: StorePlace): ProfileStore & { close?(): Promise<void> } {
  if (kind === 'file') return fileStore({ folder: at });
  return kind === 'sqlite' ? sqliteStore({ database: at }) : postgresStore({ database: at });
}
