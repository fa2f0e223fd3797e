import { withDeadline } from '../deadline';
import { abortedError, RlpaError } from '../errors';
import { Random } from '../random';
import type { ProfileStore } from './profile-store';
import { emptyRecord, type UserRecord } from './user-record';

const storeTimeoutMs = 10_000;
const maxAttempts = 10;

/**
 * Reads and writes users' records. Writes of one user by this process queue up; a write that another process got ahead of is based on the
 * new record and tried again, a bounded number of times.
 */
export class UserLedger {
  readonly #store: ProfileStore;
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(store: ProfileStore) {
    this.#store = store;
  }

  /** @throws `store-failed`, `timeout`, `aborted`. */
  async load(userId: string, signal?: AbortSignal): Promise<UserRecord | undefined> {
    return this.#access('read', signal, (deadline) => this.#store.load(userId, deadline));
  }

  /**
   * Writes `change(record)` over the latest record.
   *
   * @param since the record that the change was thought of for. If the user was erased since, nothing is written.
   * @throws `store-failed`, `timeout`, `aborted`, and what `change` throws.
   */
  commit<T extends { readonly record: UserRecord }>(
    userId: string,
    since: UserRecord | undefined,
    change: (record: UserRecord) => T,
    signal?: AbortSignal,
  ): Promise<T> {
    return this.#queued(userId, async () => {
      for (let attempt = 1; attempt <= maxAttempts; attempt++) {
        const stored = await this.load(userId, signal);
        if (since && !stored) throw new RlpaError('store-failed', `User "${userId}" was erased in the meantime.`, { userId });
        const latest = stored ?? emptyRecord(userId);
        const changed = change(latest);
        const record = { ...changed.record, version: latest.version + 1 };
        if (await this.#access('written', signal, (deadline) => this.#store.save(record, latest.version, deadline)))
          return { ...changed, record };
        await pause(userId, attempt, record.version, signal);
      }
      const message = `User "${userId}" was written by others ${maxAttempts} times while this change was tried.`;
      throw new RlpaError('store-failed', message, { userId, attempts: maxAttempts });
    });
  }

  /** @throws `store-failed`, `timeout`, `aborted`. */
  erase(userId: string, signal?: AbortSignal): Promise<boolean> {
    return this.#queued(userId, () => this.#access('erased', signal, (deadline) => this.#store.erase(userId, deadline)));
  }

  #queued<T>(userId: string, work: () => Promise<T>): Promise<T> {
    const run = (this.#queues.get(userId) ?? Promise.resolve()).then(work);
    const settled = run.then(
      () => {},
      () => {},
    );
    this.#queues.set(userId, settled);
    settled.then(() => {
      if (this.#queues.get(userId) === settled) this.#queues.delete(userId);
    });
    return run;
  }

  async #access<T>(verb: string, signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await withDeadline('The profile store', storeTimeoutMs, signal, work);
    } catch (error) {
      if (RlpaError.isInstance(error)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new RlpaError('store-failed', `A profile could not be ${verb}: ${reason}`, {}, { cause: error });
    }
  }
}

/** Waits a little, jittered, so that the writers of two processes do not keep step. */
async function pause(userId: string, attempt: number, version: number, signal?: AbortSignal): Promise<void> {
  const wait = Math.min(2 ** attempt, 64) * (0.5 + new Random(version).split(userId, attempt).uniform());
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(abortedError(signal!));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, wait);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
