import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import type { ProfileStore } from '../../src/agent/index';
import { fileStore, postgresStore, sqliteStore } from '../../src/node/index';
import { describeWithPostgres, type PostgresServer, startPostgres } from './postgres-server';

/** A store of this kind over what lies at `at`: a folder, a file, or a database. Another process can open it by the same two strings. */
export interface StorePlace {
  readonly kind: 'file' | 'sqlite' | 'postgres';
  readonly at: string;
}

export function openStore({ kind, at }: StorePlace): ProfileStore & { close?(): Promise<void> } {
  if (kind === 'file') return fileStore({ folder: at });
  return kind === 'sqlite' ? sqliteStore({ database: at }) : postgresStore({ database: at });
}

export interface PersistentStore {
  readonly place: StorePlace;
  /** A temporary folder that holds the store's files, and nothing else. */
  readonly folder: string;
  /** Another handle on the same data, closed when the test ends. */
  open(): ProfileStore;
  readonly server?: PostgresServer;
}

/** Runs a suite for each kind of store that keeps its data outside the process, with a place of its own for each. */
export function describePersistentStores(suite: (store: PersistentStore, kind: StorePlace['kind']) => void): void {
  const body = (kind: StorePlace['kind']) => () => {
    const folder = mkdtempSync(join(tmpdir(), `rlpa-${kind}-`));
    const opened: { close?(): Promise<void> }[] = [];
    let server: PostgresServer | undefined;
    const store: PersistentStore = {
      get place() {
        if (kind === 'postgres') return { kind, at: server!.url };
        return { kind, at: join(folder, kind === 'file' ? 'profiles' : 'profiles.sqlite') };
      },
      get folder() {
        return server?.data ?? folder;
      },
      open() {
        const handle = openStore(store.place);
        opened.push(handle);
        return handle;
      },
      get server() {
        return server;
      },
    };
    beforeAll(async () => {
      if (kind === 'postgres') server = await startPostgres();
    });
    afterEach(async () => {
      for (const handle of opened.splice(0)) await handle.close?.();
    });
    afterAll(async () => {
      await server?.remove();
      rmSync(folder, { recursive: true, force: true });
    });
    suite(store, kind);
  };
  describe('fileStore', body('file'));
  describe('sqliteStore', body('sqlite'));
  describeWithPostgres('postgresStore', body('postgres'));
}
