/**
 * What reading and writing a user costs in each store: milliseconds of `load` and `save` of a record with 50 items and 20 turns, and what part
 * of them is spent in waiting for the disk.
 *
 *     npx tsx bench/stores.ts [--rounds 200]
 *
 * All take turns, round after round, so that what else the machine does falls on all alike. For fileStore the time in fsync is measured
 * itself; for the databases it is the difference to the same store on a connection that does not wait for the disk.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { memoryStore, type ProfileStore, type UserRecord } from '../src/agent/index';
import { fileStore, postgresStore, sqliteStore } from '../src/node/stores/index';
import { startPostgres } from '../test/stores/postgres-server';
import { readArguments } from './arguments';

const { values } = readArguments({ options: { rounds: { type: 'string', default: '200' } } });
const rounds = Number(values.rounds);

const record: UserRecord = {
  userId: 'bench',
  id: 'f3b0c442-98fc-4c14-9afb-f4c8996fb924',
  version: 1,
  profileVersion: 50,
  items: Array.from({ length: 50 }, (_, i) => ({
    id: `98fc1c14-9afb-4f4c-8996-${String(i).padStart(12, '0')}`,
    slot: 'interests',
    value: `interest number ${i}`,
    text: `interest number ${i}`,
    key: `interests:interest number ${i}`,
    source: 'stated' as const,
    confidence: 1,
    evidence: { messageId: `turn-${i}`, start: 10, end: 30, text: `interest number ${i}` },
    validFrom: '2026-01-01T12:00:00.000Z',
  })),
  turns: Array.from({ length: 20 }, (_, i) => ({
    id: `turn-${i}`,
    at: '2026-01-01T12:00:00.000Z',
    message: `I really like interest number ${i}. `.repeat(5),
    reply: 'That sounds like a good way to spend an evening. '.repeat(5),
    text: `{"changes":[],"reply":"${'That sounds like a good way to spend an evening. '.repeat(5)}"}`,
  })),
};

const folder = mkdtempSync(join(tmpdir(), 'rlpa-bench-'));
const server = await startPostgres();

// Every file handle has the same prototype.
const probe = await open(join(folder, 'probe'), 'w');
const handles = Object.getPrototypeOf(probe) as FileHandle;
await probe.close();
const { sync } = handles;
let syncMs = 0;
handles.sync = async function (this: FileHandle) {
  const start = performance.now();
  await sync.call(this);
  syncMs += performance.now() - start;
};

const careless = new Database(join(folder, 'careless.sqlite'), {});
careless.exec('PRAGMA journal_mode = WAL');
const withoutSync = sqliteStore({ database: careless });
await withoutSync.load('bench');
careless.exec('PRAGMA synchronous = OFF');

const stores: Record<string, ProfileStore & { close?(): Promise<void> }> = {
  memoryStore: memoryStore(),
  fileStore: fileStore({ folder: join(folder, 'profiles') }),
  sqliteStore: sqliteStore({ database: join(folder, 'profiles.sqlite') }),
  'sqliteStore, synchronous = OFF': withoutSync,
  postgresStore: postgresStore({ database: server.url }),
  'postgresStore, synchronous_commit = off': postgresStore({
    database: `${server.url}&options=${encodeURIComponent('-c synchronous_commit=off')}`,
    table: 'careless',
  }),
};

const times = new Map(Object.keys(stores).map((name) => [name, { load: [] as number[], save: [] as number[], sync: [] as number[] }]));
for (let round = 0; round < rounds + 10; round++) {
  for (const [name, store] of Object.entries(stores)) {
    const start = performance.now();
    const loaded = await store.load('bench');
    const middle = performance.now();
    syncMs = 0;
    const saved = await store.save({ ...(loaded ?? record), version: round + 1 }, round);
    const end = performance.now();
    if (!saved) throw new Error(`${name} refused version ${round + 1}`);
    const kept = times.get(name)!;
    kept.load.push(middle - start);
    kept.save.push(end - middle);
    kept.sync.push(syncMs);
  }
}

/** The same store without waiting for the disk. */
const twins: Record<string, string> = {
  sqliteStore: 'sqliteStore, synchronous = OFF',
  postgresStore: 'postgresStore, synchronous_commit = off',
};
const median = (all: readonly number[]) => [...all.slice(10)].sort((a, b) => a - b)[Math.floor((all.length - 10) / 2)]!;
const saveOf = (name: string) => median(times.get(name)!.save);
console.log(`A record of ${(JSON.stringify(record).length / 1024).toFixed(1)} KiB, median of ${rounds} rounds\n`);
console.log('| store | load ms | save ms | load + save ms | of that waiting for the disk |\n| --- | ---: | ---: | ---: | ---: |');
for (const [name, { load, save, sync }] of times) {
  const both = median(load.map((time, i) => time + save[i]!));
  const twin = twins[name];
  const waiting = name === 'fileStore' ? median(sync) : twin && saveOf(name) - saveOf(twin);
  const share = typeof waiting !== 'number' ? '' : `${Math.round((100 * waiting) / both)} %`;
  console.log(`| ${name} | ${median(load).toFixed(2)} | ${median(save).toFixed(2)} | ${both.toFixed(2)} | ${share} |`);
}

for (const store of Object.values(stores)) await store.close?.();
careless.close();
await server.remove();
rmSync(folder, { recursive: true, force: true });
