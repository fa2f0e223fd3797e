import {
  diffProfiles,
  type Profile,
  type ProfileChange,
  type ProfileItem,
  type ProfileSchema,
  profileItem,
  type SlotMap,
} from '../profile/index';

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
}

/** A message of the user and what was answered. */
export interface StoredTurn {
  /** Also the id of the user's message. */
  readonly id: string;
  readonly at: string;
  readonly message: string;
  readonly reply: string;
  /** The answer as the model wrote it. */
  readonly text: string;
  /** The answer did not keep its form. */
  readonly malformed?: true;
}

/** Everything that is kept of a user. Plain JSON, replaced as a whole and never changed in place. */
export interface UserRecord {
  readonly userId: string;
  /** Counts writes: a store refuses a write that was not based on the latest. */
  readonly version: number;
  readonly profileVersion: number;
  /** Current and past, in the order in which they became known. */
  readonly items: readonly StoredItem[];
  /** The latest turns, oldest first. */
  readonly turns: readonly StoredTurn[];
}

/** A change of the profile with what is known of its source. */
export type RecordedChange = ProfileChange & Partial<Provenance> & { readonly itemId: string };

/** A value of a slot gave way to another. */
export interface Contradiction {
  readonly before: StoredItem;
  readonly after: StoredItem;
}

export function emptyRecord(userId: string): UserRecord {
  return { userId, version: 0, profileVersion: 0, items: [], turns: [] };
}

/** The profile that is in force. Values that the schema no longer takes are left out; the record keeps them. */
export function profileOf<S extends SlotMap>(schema: ProfileSchema<S>, record: UserRecord): Profile<S> {
  const values: Record<string, unknown> = {};
  for (const { slot, value, validTo } of record.items) {
    if (validTo !== undefined) continue;
    if ((schema as ProfileSchema).slots[slot]?.cardinality === 'one') values[slot] = value;
    else if (Array.isArray(values[slot])) values[slot].push(value);
    else values[slot] = [value];
  }
  return schema.safeProfile(values, record.profileVersion).profile;
}

/** Brings the record from one profile to the next. Nothing is deleted: what no longer holds gets its `validTo`. */
export function recordProfile(
  record: UserRecord,
  before: Profile,
  after: Profile,
  { at, newId, provenance }: { at: string; newId: () => string; provenance: (item: ProfileItem) => Provenance },
): { record: UserRecord; changes: RecordedChange[]; contradictions: Contradiction[] } {
  const items = new Map(record.items.map((item) => [item.id, item]));
  const current = new Map(record.items.flatMap((item) => (item.validTo === undefined ? [[item.key, item] as const] : [])));
  const changes: RecordedChange[] = [];
  const contradictions: Contradiction[] = [];
  for (const change of diffProfiles(before, after)) {
    const item = profileItem(change.slot, change.value);
    const previous = change.op === 'set' ? [...current.values()].find(({ slot }) => slot === change.slot) : current.get(item.key);
    if (previous) {
      items.set(previous.id, { ...previous, validTo: at });
      current.delete(previous.key);
    }
    if (change.op === 'remove') {
      if (previous) changes.push({ ...change, itemId: previous.id });
      continue;
    }
    const known = provenance(item);
    const added: StoredItem = { ...item, ...known, id: newId(), validFrom: at, ...(previous && { supersedes: previous.id }) };
    items.set(added.id, added);
    current.set(added.key, added);
    changes.push({ ...change, ...known, itemId: added.id });
    if (previous) contradictions.push({ before: items.get(previous.id)!, after: added });
  }
  // Another spelling of a known value is no change of the facts, but the latest spelling is kept.
  for (const item of after.items()) {
    const known = current.get(item.key);
    if (known && known.text !== item.text) items.set(known.id, { ...known, ...item });
  }
  return { record: { ...record, profileVersion: after.version, items: [...items.values()] }, changes, contradictions };
}
