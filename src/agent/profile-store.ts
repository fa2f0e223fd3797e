import type { UserRecord } from './user-record';

/** Where users' records are kept. Any method may throw; a turn then still returns its reply. */
export interface ProfileStore {
  load(userId: string, signal?: AbortSignal): Promise<UserRecord | undefined>;
  /**
   * Writes the record if the stored one has version `basedOn` (0: none is stored).
   *
   * @returns false, with nothing written, if it has another version.
   */
  save(record: UserRecord, basedOn: number, signal?: AbortSignal): Promise<boolean>;
  /** Removes every trace of the user. @returns whether there was one. */
  erase(userId: string, signal?: AbortSignal): Promise<boolean>;
}

/**
 * Keeps records as long as the program runs.
 *
 * @example
 * import { memoryStore, openAIChat, PersonalizedAgent, ProfileSchema } from 'rlpa';
 * const model = openAIChat({ model: 'gpt-4o-mini' });
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model, store: memoryStore() });
 */
export function memoryStore(): ProfileStore {
  const records = new Map<string, UserRecord>();
  return {
    load: async (userId) => records.get(userId),
    async save(record, basedOn) {
      if ((records.get(record.userId)?.version ?? 0) !== basedOn) return false;
      records.set(record.userId, record);
      return true;
    },
    erase: async (userId) => records.delete(userId),
  };
}
