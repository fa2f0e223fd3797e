import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import type { ProfileStore } from '../../src/agent/index';
import { openStore, type StorePlace } from './open-store';
import { describeWithPostgres, type PostgresServer, startPostgres } from './postgres-server';

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
    let folder: string;
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
      folder = mkdtempSync(join(tmpdir(), `rlpa-${kind}-`));
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
