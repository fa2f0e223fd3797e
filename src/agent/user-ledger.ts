import { pause, withDeadline } from '../deadline';
import { RlpaError } from '../errors';
import { Random } from '../random';
import { perStore } from './per-store';
import type { ProfileStore } from './profile-store';
import { emptyRecord, type UserRecord } from './user-record';

/** How long a call of the store may take once a turn has its answer, and with it no deadline any more. */
const storeTimeoutMs = 10_000;
/** How long a write goes on trying while others get ahead of it. */
const commitTimeoutMs = 30_000;
/** Refusals of a write although nobody else wrote: a store that works gives none. */
const maxRefusals = 10;

/** What a change was thought of for: a user's record as it was, and whether the user was erased since. */
export interface Basis {
  readonly record: UserRecord | undefined;
  readonly erased: AbortSignal;
}

/** Work for a user under way. */
export interface Tenure {
  readonly userId: string;
  /** Fires when the user is erased. */
  readonly erased: AbortSignal;
}

/** What a ledger does with records besides keeping them. */
export interface LedgerOptions {
  /** Takes what was stored to what the present version of the schema has. */
  readonly read: (record: UserRecord) => UserRecord;
  readonly newId: () => string;
}

/** What goes on over a store, by whichever agent: the one that erases a user need not be the one that the user talks to. */
interface StoreWork {
  /** The last write of each user who has one. */
  readonly queues: Map<string, Promise<unknown>>;
  readonly tenures: Map<Tenure, AbortController>;
}

const workOver = perStore((): StoreWork => ({ queues: new Map(), tenures: new Map() }));

/**
 * Reads and writes users' records. Writes of one user to one store object queue up; a write that another process got ahead of is based on
 * the new record and tried again. Of two writers one always gets through, so trying again ends; it is bounded all the same. Of turns that were
 * begun over this store object before a user's erasure has ended nothing is written afterwards; an edit that waited for it is.
 */
export class UserLedger {
  readonly #store: ProfileStore;
  readonly #options: LedgerOptions;
  readonly #queues: StoreWork['queues'];
  readonly #tenures: StoreWork['tenures'];

  constructor(store: ProfileStore, options: LedgerOptions) {
    this.#store = store;
    this.#options = options;
    ({ queues: this.#queues, tenures: this.#tenures } = workOver(store));
  }

  /** Takes as long as the signal lets it. @throws `store-failed`, `timeout`, `aborted`. */
  async load(userId: string, signal?: AbortSignal, timeoutMs?: number): Promise<UserRecord | undefined> {
    const stored = await this.#access('read', signal, (deadline) => this.#store.load(userId, deadline), timeoutMs);
    return stored && this.#options.read(stored);
  }

  /** Work that is to end in a write begins here, and must be ended. */
  begin(userId: string): Tenure {
    const controller = new AbortController();
    const tenure = { userId, erased: controller.signal };
    this.#tenures.set(tenure, controller);
    return tenure;
  }

  end(tenure: Tenure): void {
    this.#tenures.delete(tenure);
  }

  /**
   * Writes `change(record)` over the latest record.
   *
   * @param since what a turn's change was thought of for. If the user was erased since, nothing is written.
   * @param signal ends the wait; of a change without `since` it must be a deadline as well
   * @throws `store-failed`, `timeout`, `aborted`, and what `change` throws.
   */
  commit<T extends { readonly record: UserRecord }>(
    userId: string,
    since: Basis | undefined,
    change: (record: UserRecord) => T,
    signal?: AbortSignal,
  ): Promise<T> {
    return this.#queued(userId, async () => {
      const timeoutMs = since && storeTimeoutMs;
      const endsAt = performance.now() + commitTimeoutMs;
      let refusals = 0;
      let refused: number | undefined;
      for (let attempt = 1; refusals < maxRefusals && performance.now() < endsAt; attempt++) {
        const stored = await this.load(userId, signal, timeoutMs);
        if (since?.erased.aborted || (since?.record && stored?.id !== since.record.id)) throw erasedError(userId);
        // What was read already need not be understood again.
        const latest = stored?.version === since?.record?.version && since?.record ? since.record : (stored ?? emptyRecord(userId));
        const changed = change(latest);
        const record = { ...changed.record, id: latest.id || this.#options.newId(), version: latest.version + 1 };
        if (await this.#access('written', signal, (deadline) => this.#store.save(record, latest.version, deadline), timeoutMs))
          return { ...changed, record };
        refusals = refused === latest.version ? refusals + 1 : 1;
        refused = latest.version;
        await standBack(attempt, signal);
      }
      const message =
        refusals < maxRefusals
          ? `User "${userId}" was written by others for ${commitTimeoutMs} ms whenever this change was tried.`
          : `The profile store refused version ${refused! + 1} of user "${userId}" ${refusals} times, and kept version ${refused}.`;
      throw new RlpaError('store-failed', message, { userId });
    });
  }

  /** Takes as long as the signal lets it. @throws `store-failed`, `timeout`, `aborted`; turns under way are then stored. */
  erase(userId: string, signal?: AbortSignal): Promise<boolean> {
    // Turns end only when the store has erased the user, also where nobody waits for it any more: what they write queues up behind.
    const erase = async (deadline: AbortSignal) => {
      const erased = await this.#store.erase(userId, deadline);
      this.#endTenures(userId);
      return erased;
    };
    return this.#queued(userId, () => this.#access('erased', signal, erase));
  }

  #endTenures(userId: string): void {
    for (const [tenure, controller] of this.#tenures) if (tenure.userId === userId) controller.abort(erasedError(userId));
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

  async #access<T>(
    verb: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<T> {
    try {
      return await withDeadline('The profile store', timeoutMs, signal, work);
    } catch (error) {
      if (RlpaError.isInstance(error)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new RlpaError('store-failed', `A profile could not be ${verb}: ${reason}`, {}, { cause: error });
    }
  }
}

export function erasedError(userId: string): RlpaError {
  return new RlpaError('store-failed', `User "${userId}" was erased in the meantime.`, { userId });
}

/** Waits a little, by another time in every process: writers that were refused together must not come back together. */
function standBack(attempt: number, signal?: AbortSignal): Promise<void> {
  const jitter = new Random(globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!);
  return pause(Math.min(2 ** attempt, 64) * (0.5 + jitter.uniform()), signal);
}
