import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DatabaseProfileStore, sqliteStore } from '../../src/node/index';
import { temporaryFolder } from '../node/temporary-folder';
import { addingAgent } from './adding-agent';
import { recordOf } from './conformance';

/** What a link leads to; undefined if it is not there any more. */
function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

/** Runs the work as one who may read a folder and its files, and write neither. */
async function withoutWriting(folder: string, work: () => Promise<void>): Promise<void> {
  const files = readdirSync(folder).map((name) => join(folder, name));
  for (const file of files) chmodSync(file, 0o444);
  chmodSync(folder, 0o555);
  chmodSync(dirname(folder), 0o711);
  const isRoot = process.geteuid!() === 0; // who may write everything
  if (isRoot) process.seteuid!(65_534);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid!(0);
    chmodSync(folder, 0o700);
    for (const file of files) chmodSync(file, 0o600);
  }
}

describe("sqliteStore's file", () => {
  const root = temporaryFolder();
  let folder: string;
  let path: string;
  let store: DatabaseProfileStore;
  let tests = 0;
  beforeEach(async () => {
    folder = join(root, String(++tests));
    mkdirSync(folder);
    path = join(folder, 'profiles.sqlite');
    store = sqliteStore({ database: path });
    await store.save(recordOf('anna', 1), 0);
  });
  afterEach(() => store.close());

  /** What a copy of the one file holds. */
  const inCopy = async () => {
    const copy = sqliteStore({ database: `${path}.copy` });
    copyFileSync(path, `${path}.copy`);
    const record = await copy.load('anna');
    await copy.close();
    rmSync(`${path}.copy`);
    return record;
  };

  it('leaves one file with everything in it when it is closed', async () => {
    await store.save(recordOf('anna', 2), 1);
    await store.load('anna');
    await store.close();
    expect(readdirSync(folder)).toEqual(['profiles.sqlite']);
    expect(await inCopy()).toEqual(recordOf('anna', 2));
  });

  it('leaves everything in the file also where another connection keeps the log', async () => {
    const other = new Database(path, {});
    other.prepare('SELECT count(*) FROM rlpa_profiles').get();
    await store.save(recordOf('anna', 2), 1);
    await store.close();
    expect(await inCopy()).toEqual(recordOf('anna', 2));
    other.close();
  });

  it.runIf(process.platform === 'linux')('lets go of its files when it is closed', async () => {
    const held = () => readdirSync('/proc/self/fd').flatMap((fd) => targetOf(`/proc/self/fd/${fd}`) ?? []);
    const ours = () => held().filter((file) => file.startsWith(path));
    expect(ours()).toContain(`${path}-wal`);
    await store.close();
    // libsql has nothing that ends a statement, and keeps the file for it until the statement is collected.
    expect(ours().filter((file) => file !== path)).toEqual([]);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const heldAfterwards = () => {
      collect();
      return ours();
    };
    await expect.poll(heldAfterwards).toEqual([]);
  });

  it('keeps its lock when the process opens the file once more', async () => {
    const second = sqliteStore({ database: path });
    await second.load('anna');
    // Who closes a database and finds no lock takes the log away, under the hands of those who write to it.
    const program = `new (require('libsql'))(process.argv[1]).exec('PRAGMA journal_mode = DELETE')`;
    const stranger = promisify(execFile)(process.execPath, ['-e', program, path]);
    await expect(stranger).rejects.toMatchObject({ stderr: expect.stringContaining('database is locked') });
    await second.close();
  });

  it.runIf(process.geteuid).each(['is closed', 'another one has open'])('reads a file that may not be written, and %s', async (what) => {
    const other = new Database(path, {});
    if (what === 'another one has open') other.prepare('SELECT count(*) FROM rlpa_profiles').get();
    else await store.close();
    const reader = sqliteStore({ database: path });
    await withoutWriting(folder, async () => {
      const turn = await addingAgent(reader).respond({ userId: 'anna', message: 'I like tea' });
      expect(turn).toMatchObject({ reply: 'Tell me about tea.', problem: { code: 'not-stored' } });
      const failure = { code: 'store-failed', message: expect.stringContaining(`${path}: attempt to write a readonly database`) };
      await expect(reader.save(recordOf('anna', 2), 1)).rejects.toMatchObject(failure);
      await expect(reader.erase('anna')).rejects.toMatchObject(failure);
      expect(await reader.load('anna')).toEqual(recordOf('anna', 1));
      await reader.close();
    });
    other.close();
  });
});
