import { randomBytes } from 'node:crypto';
import { access, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProfileStore, UserRecord } from '../../agent/index';
import { checkKnown, invalidOption, RlpaError, throwIfAborted } from '../../errors';
import { syncFolder } from '../write-whole';
import { storeError, systemCode } from './store-error';
import { readRecord, writeRecord } from './stored-record';
import { userKey } from './user-key';

export interface FileStoreOptions {
  /** Made when the first record is written. It must be the store's alone. */
  readonly folder: string;
}

/*
 * A user's folder holds
 *
 *   new.4f1d….json         a record: <the record that it replaces>.<its own name>.json
 *   1.4f1d….current        an empty file: <version>.<name of the record that is in force>.current
 *
 * A write puts its record beside the one in force and then renames the empty file, from a name that it has read to the name of its own
 * record. That rename is the compare-and-swap: names are never used twice, so of all writers that read the same name exactly one finds it
 * still there. Nobody ever holds a lock; who dies on the way leaves a record that is not in force, and that the next write takes away.
 * A user's folder comes and goes by one rename of its own: a first write makes it aside, and an erasure takes it aside before it empties it.
 */
const recordSuffix = '.json';
const currentSuffix = '.current';

/** Of a user's folder that says nothing: a look may fall into a rename, but not into this many of them. */
const maxLooks = 50;

/** What of a user's folder counts. */
interface Current {
  readonly version: number;
  readonly name: string;
  /** All records in the folder, whether in force or not. */
  readonly records: readonly string[];
  /** The one that is in force; undefined if it has been replaced while we looked. */
  readonly record: string | undefined;
}

/**
 * Keeps each user's record in a folder of its own, as one file of JSON. Writes are whole, on disk when they are acknowledged, and compared with
 * what is stored, whichever process wrote that: many may use one folder. There are no locks, so none can be left behind.
 *
 * The file system must be a local one. Methods throw `store-failed`, `aborted`, and `invalid-file` for a damaged record, which is named and
 * left as it is.
 *
 * @throws RlpaError `invalid-option`
 * @example
 * import { openAIChat, PersonalizedAgent, ProfileSchema } from 'rlpa';
 * import { fileStore } from 'rlpa/node';
 * const store = fileStore({ folder: './profiles' });
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: openAIChat({ model: 'gpt-4o-mini' }), store });
 */
export function fileStore(options: FileStoreOptions): ProfileStore {
  checkKnown('fileStore', options, { folder: true });
  if (typeof options.folder !== 'string' || options.folder === '')
    throw invalidOption('fileStore', 'folder', 'the path of a folder', options.folder);
  const folder = resolve(options.folder);
  /** Users' folders that are being made or emptied. */
  const aside = join(folder, '.aside');
  /** The prefix keeps clear of names that Windows reserves. */
  const nameOf = (userId: string) => `user-${userKey(userId)}`;

  async function load(userId: string, signal?: AbortSignal): Promise<UserRecord | undefined> {
    const home = join(folder, nameOf(userId));
    for (let looks = 0; looks < maxLooks; looks++) {
      const current = await look(home, signal);
      if (!current) return undefined;
      if (!current.record) continue;
      const path = join(home, current.record);
      const bytes = await unlessGone(readFile(path, { signal }));
      if (bytes) return readRecord(decode(bytes, path), userId, path);
    }
    throw new RlpaError('invalid-file', `${home}: the record that is in force is not there.`, { file: home });
  }

  async function create(record: UserRecord, text: string, signal?: AbortSignal): Promise<boolean> {
    const user = nameOf(record.userId);
    const home = join(folder, user);
    if (await exists(home)) return false;
    const name = newName();
    const draft = join(aside, `${user}.${name}`);
    const made = await mkdir(draft, { recursive: true, mode: 0o700 });
    try {
      await writeSynced(join(draft, `new.${name}${recordSuffix}`), text);
      await writeSynced(join(draft, `${record.version}.${name}${currentSuffix}`), '');
      await syncFolder(draft);
      throwIfAborted(signal);
      await rename(draft, home);
    } catch (cause) {
      await remove(draft);
      // Another one was first; or the user was erased just now, and our draft with the rest.
      if ((await exists(home)) || systemCode(cause) === 'ENOENT') return false;
      throw cause;
    }
    await syncFolder(folder);
    // The store's own folder and those above it.
    for (let path = folder; made && path.length >= made.length; path = dirname(path)) await syncFolder(dirname(path));
    await empty(user).catch(() => {}); // the next write or erasure tries again
    return true;
  }

  async function replace(record: UserRecord, text: string, basedOn: number, signal?: AbortSignal): Promise<boolean> {
    const home = join(folder, nameOf(record.userId));
    const current = await look(home, signal);
    if (current?.version !== basedOn) return false;
    const name = newName();
    const path = join(home, `${current.name}.${name}${recordSuffix}`);
    try {
      await writeSynced(path, text);
      throwIfAborted(signal);
      await rename(
        join(home, `${current.version}.${current.name}${currentSuffix}`),
        join(home, `${record.version}.${name}${currentSuffix}`),
      );
    } catch (cause) {
      await rm(path, { force: true });
      if (systemCode(cause) === 'ENOENT') return false;
      throw cause;
    }
    await syncFolder(home);
    // All of them are based on the record that we replaced or on an older one, so none can come into force any more. Where one cannot be
    // removed now, the next write tries again.
    for (const left of current.records) await rm(join(home, left), { force: true }).catch(() => {});
    return true;
  }

  async function erase(userId: string): Promise<boolean> {
    const user = nameOf(userId);
    const home = join(folder, user);
    if (await exists(home)) {
      await mkdir(aside, { recursive: true, mode: 0o700 });
      await unlessGone(rename(home, join(aside, `${user}.${newName()}`)));
      await syncFolder(folder);
    }
    return empty(user);
  }

  /** Removes what of a user lies aside: what is being erased, and what creators left that came too late or died. */
  async function empty(user: string): Promise<boolean> {
    // Keys have no dot, so no user's folder begins with another's name and a dot.
    const left = ((await unlessGone(readdir(aside))) ?? []).filter((name) => name.startsWith(`${user}.`));
    for (const name of left) await remove(join(aside, name));
    if (left.length > 0) await syncFolder(aside);
    return left.length > 0;
  }

  const guarded = async <T>(userId: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    throwIfAborted(signal);
    try {
      return await work();
    } catch (cause) {
      throw storeError(join(folder, nameOf(userId)), cause, signal);
    }
  };
  return {
    load: (userId, signal) => guarded(userId, signal, () => load(userId, signal)),
    async save(record, basedOn, signal) {
      const text = writeRecord(record);
      return guarded(record.userId, signal, () => (basedOn === 0 ? create(record, text, signal) : replace(record, text, basedOn, signal)));
    },
    erase: (userId, signal) => guarded(userId, signal, () => erase(userId)),
  };
}

/** What is in force in a user's folder; undefined if there is no such folder. */
async function look(home: string, signal?: AbortSignal): Promise<Current | undefined> {
  for (let looks = 0; looks < maxLooks; looks++) {
    throwIfAborted(signal);
    const names = await unlessGone(readdir(home));
    if (!names) return undefined;
    // A folder that is read while a name in it changes may show both names or neither.
    const found = names.flatMap((entry) => /^(\d+)\.([^.]+)\.current$/.exec(entry) ?? []);
    if (found.length === 3) {
      const [, version, name] = found as [string, string, string];
      const records = names.filter((entry) => entry.endsWith(recordSuffix));
      return { version: Number(version), name, records, record: records.find((entry) => entry.endsWith(`.${name}${recordSuffix}`)) };
    }
    await delay(1);
  }
  throw new RlpaError('invalid-file', `${home}: expected one file that names the record in force, found none or several.`, { file: home });
}

function newName(): string {
  return randomBytes(8).toString('hex');
}

/** A folder into which its maker may still be writing. */
function remove(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 5 });
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new RlpaError('invalid-file', `${path}: not UTF-8.`, { file: path }, { cause });
  }
}

/** Undefined where the file or folder is not there, or not any more. */
async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await unlessGone(access(path).then(() => true))) ?? false;
}
