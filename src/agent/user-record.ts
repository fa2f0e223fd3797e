import type { Profile, ProfileChange, ProfileItem, ProfileSchema, RejectedValue, Slot, SlotDefinition, SlotMap } from '../profile/index';

/** Where in the user's own words a value comes from. */
export interface Evidence {
  /** The user's message. */
  readonly messageId: string;
  /** Span in that message, in UTF-16 code units; `text` is what stands there. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** How a value came to be known. */
export interface Provenance {
  /** `stated`: in the user's own words, or entered through `edit`. `inferred`: the model's conclusion. */
  readonly source: 'stated' | 'inferred';
  /** In [0, 1]. 1 for what was stated. */
  readonly confidence: number;
  readonly evidence?: Evidence;
}

/** A value of a user's profile, now or in the past. */
export interface StoredItem extends ProfileItem, Provenance {
  readonly id: string;
  /** ISO 8601. */
  readonly validFrom: string;
  /** Set when the value was superseded or removed. */
  readonly validTo?: string;
  /** The id of the item whose place this one took. */
  readonly supersedes?: string;
  /** By how many of the agent's `migrations` the item was written, or taken further since; absent for none. */
  readonly schemaVersion?: number;
  /** Why the value, which an earlier version of the schema took, is not part of the profile although it was neither replaced nor removed. */
  readonly refused?: string;
}

/** A message of the user and what was answered. */
export interface StoredTurn {
  /** Also the id of the user's message. */
  readonly id: string;
  readonly sessionId?: string;
  readonly at: string;
  readonly message: string;
  readonly reply: string;
  /** The answer as the model wrote it; where it held what a slot does not take, in the same form without that. */
  readonly text: string;
  /** The answer did not keep its form. */
  readonly malformed?: true;
}

/** Everything that is kept of a user. Plain JSON, replaced as a whole and never changed in place. */
export interface UserRecord {
  readonly userId: string;
  /** Given with the first write: after an erasure, what is kept of the user has another. */
  readonly id: string;
  /** Counts writes: a store refuses a write that was not based on the latest. */
  readonly version: number;
  readonly profileVersion: number;
  /** Current and past, in the order in which they became known. */
  readonly items: readonly StoredItem[];
  /** The latest turns of the latest sessions, oldest first. */
  readonly turns: readonly StoredTurn[];
}

/** A change of the profile with what is known of its source. */
export type RecordedChange<S extends SlotMap = SlotMap> = ProfileChange<S> & Partial<Provenance> & { readonly itemId: string };

/** A value of a slot gave way to another. */
export type Contradiction<S extends SlotMap = SlotMap> = {
  [K in keyof S & string]: {
    readonly slot: K;
    readonly before: StoredItem;
    readonly after: StoredItem & { readonly slot: K; readonly value: S[K] extends Slot<infer Value> ? Value : never };
  };
}[keyof S & string];

export function emptyRecord(userId: string): UserRecord {
  return { userId, id: '', version: 0, profileVersion: 0, items: [], turns: [] };
}

/** The slot of that name, if the schema has it. */
export function definitionOf<S extends SlotMap>(schema: ProfileSchema<S>, slot: string): SlotDefinition | undefined {
  const slots: Readonly<Record<string, SlotDefinition>> = schema.slots;
  return slots[slot];
}

interface ReadRecord {
  readonly schema: unknown;
  readonly profile: unknown;
  readonly refused: ReadonlyMap<StoredItem, string>;
  readonly rekeyed: ReadonlyMap<StoredItem, string>;
  /** Whether an item is noted as refused. */
  readonly isMarked: boolean;
}

/** A record is never changed in place, so what it comes to is found out once. */
const read = new WeakMap<UserRecord, ReadRecord>();

function readRecord<S extends SlotMap>(schema: ProfileSchema<S>, record: UserRecord) {
  let known = read.get(record);
  if (known?.schema !== schema) {
    const current: StoredItem[] = [];
    let isMarked = false;
    for (const item of record.items) {
      if (item.validTo !== undefined) continue;
      isMarked ||= item.refused !== undefined;
      current.push(item);
    }
    known = { schema, isMarked, ...schema.restore(current, record.profileVersion) };
    read.set(record, known);
  }
  return { ...known, profile: known.profile as Profile<S> };
}

/** Says what a record comes to that was made for this profile from another record, so that it need not be found out. */
export function rememberProfile<S extends SlotMap>(record: UserRecord, from: UserRecord, profile: Profile<S>): void {
  const known = read.get(from);
  if (known?.refused.size === 0 && known.rekeyed.size === 0 && !known.isMarked) read.set(record, { ...known, profile });
}

/** The profile that is in force. Values that the schema no longer takes are left out; the record keeps them. */
export function profileOf<S extends SlotMap>(schema: ProfileSchema<S>, record: UserRecord): Profile<S> {
  return readRecord(schema, record).profile;
}

/**
 * Notes at the items which of them the schema does not take any more, and gives those that it tells apart otherwise than before their present
 * keys: an earlier version may have had another matching.
 *
 * @returns the ones of which it was not known that they are refused
 */
export function bringUpToDate<S extends SlotMap>(
  schema: ProfileSchema<S>,
  record: UserRecord,
): { record: UserRecord; refused: readonly RejectedValue[] } {
  const { refused, rekeyed, isMarked } = readRecord(schema, record);
  if (refused.size === 0 && rekeyed.size === 0 && !isMarked) return { record, refused: [] };
  const fresh: RejectedValue[] = [];
  const items = record.items.map((stored) => {
    if (stored.validTo !== undefined) return stored;
    const key = rekeyed.get(stored);
    const item = key === undefined ? stored : { ...stored, key };
    const reason = refused.get(stored);
    if (reason === item.refused) return item;
    const { refused: _, ...unmarked } = item;
    if (reason === undefined) return unmarked;
    if (item.refused === undefined) fresh.push({ slot: item.slot, value: item.value, reason });
    return { ...unmarked, refused: reason };
  });
  return { record: { ...record, items }, refused: fresh };
}
