import { type ProfileChange, type SlotMap, valueText } from '../profile/index';
import type { AgentSettings } from './agent-options';
import { confirmItems, recordProfile } from './profile-history';
import type { RecordedAnswer } from './record-turn';
import { bringUpToDate, profileOf, type StoredItem, type UserRecord } from './user-record';

/** What an edit by hand changes, on top of the latest record. @throws `invalid-profile` for what the schema refuses */
export function recordEdit<S extends SlotMap>(
  { schema, generateId, migrations }: AgentSettings<S>,
  changes: readonly ProfileChange<S>[],
  latest: UserRecord,
  at: string,
): RecordedAnswer<S> {
  const { record, refused } = bringUpToDate(schema, latest);
  const before = profileOf(schema, record);
  const profile = before.with(changes);
  const provenance = () => ({ source: 'stated', confidence: 1 }) as const;
  const recorded = recordProfile(record, before, profile, { at, newId: generateId, provenance, schemaVersion: migrations.length });
  const entered = schema.empty().with(changes.filter(({ op }) => op !== 'remove'));
  const confirmed = confirmItems(recorded.record, entered.items(), provenance);
  const settled = (item: StoredItem) => (changes.some((change) => endsRefused(change, item)) ? { ...item, validTo: at } : item);
  return { ...recorded, record: { ...confirmed, items: confirmed.items.map(settled) }, profile, rejected: refused };
}

/** What the schema refuses in a slot is not part of the profile, yet it is there: it ends with the slot's other values, or when it is named. */
function endsRefused({ op, slot, value }: ProfileChange, item: StoredItem): boolean {
  if (item.refused === undefined || item.validTo !== undefined || item.slot !== slot) return false;
  return op === 'set' || (op === 'remove' && (value === undefined || valueText(value) === item.text));
}
