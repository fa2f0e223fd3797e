import { closestItem, type Profile, type ProfileItem, type SlotDefinition, type SlotMap } from '../profile/index';
import { type Contradiction, definitionOf, type Provenance, type RecordedChange, type StoredItem, type UserRecord } from './user-record';

/** What is noted at values that are new. */
export interface Recording {
  /** ISO 8601. */
  readonly at: string;
  readonly newId: () => string;
  readonly provenance: (item: ProfileItem) => Provenance;
  /** How many migrations the agent has. */
  readonly schemaVersion: number;
}

export interface RecordedProfile<S extends SlotMap> {
  /** What it was recorded on. */
  readonly from: UserRecord;
  readonly record: UserRecord;
  readonly changes: readonly RecordedChange<S>[];
  readonly contradictions: readonly Contradiction<S>[];
}

/**
 * Brings the record from one profile to the next. Nothing is deleted: what no longer holds gets its `validTo`. Another spelling of a
 * known value is no change of the facts, but the latest spelling is kept.
 */
export function recordProfile<S extends SlotMap>(
  record: UserRecord,
  before: Profile<S>,
  after: Profile<S>,
  recording: Recording,
): RecordedProfile<S> {
  const touched = after.schema.slotNames.filter((slot) => after.itemsOf(slot) !== before.itemsOf(slot));
  const items = [...record.items];
  const changes: RecordedChange[] = [];
  const contradictions: Contradiction[] = [];
  for (const slot of touched) {
    const definition = definitionOf(after.schema, slot)!;
    const step = { definition, before: before.itemsOf(slot), after: after.itemsOf(slot), items, recording };
    if (definition.cardinality === 'many') recordList(step, changes);
    else recordValue(step, changes, contradictions);
  }
  return {
    from: record,
    record: { ...record, profileVersion: after.version, items },
    changes: changes as RecordedChange<S>[],
    contradictions: contradictions as Contradiction<S>[],
  };
}

/**
 * Notes which of the values that were inferred are stated by now. The facts are the same, so that this is no change.
 *
 * @param named what the turn, or the edit, speaks of
 */
export function confirmItems(record: UserRecord, named: readonly ProfileItem[], provenance: Recording['provenance']): UserRecord {
  const keys = new Set(named.map(({ key }) => key));
  const items = record.items.map((item) => {
    if (item.validTo !== undefined || item.source === 'stated' || !keys.has(item.key)) return item;
    const now = provenance(item);
    if (now.source !== 'stated') return item;
    const { evidence: _, ...known } = item; // what it was concluded from
    return { ...known, ...now };
  });
  return { ...record, items };
}

interface SlotStep {
  readonly definition: SlotDefinition;
  readonly before: readonly ProfileItem[];
  readonly after: readonly ProfileItem[];
  /** All of the record's, to be written to. */
  readonly items: StoredItem[];
  readonly recording: Recording;
}

/** A new value, or its end, also ends what the schema refuses in the slot: it must not come back in its place. */
function recordValue(step: SlotStep, changes: RecordedChange[], contradictions: Contradiction[]): void {
  const { definition, before, after, items, recording } = step;
  const [old] = before;
  const [value] = after;
  const places = placesOf(step, () => true);
  const place = places.findLast((at) => items[at]!.key === old?.key) ?? places.at(-1);
  if (value && value.key === old?.key) {
    items[place!] = { ...items[place!]!, ...value };
    return;
  }
  for (const at of places) items[at] = { ...items[at]!, validTo: recording.at };
  const ended = place === undefined ? undefined : items[place]!;
  if (value) {
    const added = addItem(step, value, ended?.id);
    changes.push({ op: 'set', slot: definition.key, value: value.value, ...provenanceOf(added), itemId: added.id });
    if (old && ended) contradictions.push({ slot: definition.key, before: ended, after: added });
  } else if (old && ended) changes.push({ op: 'remove', slot: definition.key, value: old.value, itemId: ended.id });
}

function recordList(step: SlotStep, changes: RecordedChange[]): void {
  const { definition, items, recording } = step;
  const [before, after] = differingParts(step.before, step.after);
  const held = new Set(before.map(({ key }) => key));
  const wanted = new Map(after.map((item) => [item.key, item]));
  const gone: StoredItem[] = [];
  for (const at of held.size > 0 ? placesOf(step, ({ key }) => held.has(key)) : []) {
    const item = items[at]!;
    const kept = wanted.get(item.key);
    items[at] = kept ? { ...item, ...kept } : { ...item, validTo: recording.at };
    if (!kept) gone.push(items[at]);
  }
  for (const item of after) {
    if (held.has(item.key)) continue;
    const reworded = definition.matching === 'fuzzy' ? (closestItem(gone, item) as StoredItem | undefined) : undefined;
    const added = addItem(step, item, reworded?.id);
    changes.push({ op: 'add', slot: definition.key, value: item.value, ...provenanceOf(added), itemId: added.id });
  }
  for (const { value, id } of gone) changes.push({ op: 'remove', slot: definition.key, value, itemId: id });
}

/** What lies between the very same items at the beginning and at the end: long lists mostly change at one place. */
function differingParts(before: readonly ProfileItem[], after: readonly ProfileItem[]): [readonly ProfileItem[], readonly ProfileItem[]] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  return [before.slice(start, before.length - end), after.slice(start, after.length - end)];
}

/** Where the slot's items stand that have not ended, also the ones that the schema refuses. */
function placesOf({ items, definition }: SlotStep, isWanted: (item: StoredItem) => boolean): number[] {
  const places: number[] = [];
  for (const [at, item] of items.entries()) {
    if (item.validTo === undefined && item.slot === definition.key && isWanted(item)) places.push(at);
  }
  return places;
}

function addItem({ items, recording }: SlotStep, item: ProfileItem, supersedes: string | undefined): StoredItem {
  const { at, newId, provenance, schemaVersion } = recording;
  const { slot, value, text, key, sensitive } = item;
  const { source, confidence, evidence } = provenance(item);
  // Written out: V8 gives each object that is put together by spreading several a layout of its own, and thousands of those are slow to read.
  const added: { -readonly [K in keyof StoredItem]: StoredItem[K] } = {
    slot,
    value,
    text,
    key,
    source,
    confidence,
    id: newId(),
    validFrom: at,
  };
  if (sensitive) added.sensitive = sensitive;
  if (evidence) added.evidence = evidence;
  if (supersedes !== undefined) added.supersedes = supersedes;
  if (schemaVersion > 0) added.schemaVersion = schemaVersion;
  items.push(added);
  return added;
}

function provenanceOf({ source, confidence, evidence }: StoredItem): Provenance {
  return { source, confidence, ...(evidence && { evidence }) };
}
