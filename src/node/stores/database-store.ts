import type { ProfileStore } from '../../agent/index';
import { checkTimeout } from '../../deadline';
import { invalidOption } from '../../errors';

/** A store over a database. */
export interface DatabaseProfileStore extends ProfileStore {
  /** Closes the connections that the store opened itself; those that it was given stay open. Calls after it fail. */
  close(): Promise<void>;
}

export interface DatabaseStoreOptions {
  /**
   * Agents whose profile schemas have nothing to do with each other keep their users in tables of their own. Default `rlpa_profiles`; made
   * when it is missing.
   */
  readonly table?: string | undefined;
  /** How long a call may take, waiting for locks included; default 5 seconds. */
  readonly timeoutMs?: number | undefined;
}

/** @throws RlpaError `invalid-option` */
export function checkDatabaseOptions(
  owner: string,
  { table = 'rlpa_profiles', timeoutMs = 5000 }: DatabaseStoreOptions,
): {
  /** Quoted, with its schema if there is one. */
  readonly table: string;
  readonly timeoutMs: number;
} {
  // No longer than PostgreSQL's names are.
  if (typeof table !== 'string' || !/^([a-z_]\w{0,62}\.)?[a-z_]\w{0,62}$/i.test(table))
    throw invalidOption(owner, 'table', 'a name of letters, digits and _', table);
  checkTimeout(owner, timeoutMs);
  return {
    table: table
      .split('.')
      .map((part) => `"${part}"`)
      .join('.'),
    timeoutMs,
  };
}
