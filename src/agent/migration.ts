import { RlpaError } from '../errors';
import { type ProfileSchema, profileItem, type SlotMap, slotItem } from '../profile/index';
import { definitionOf, type StoredItem, type UserRecord } from './user-record';

/** A value of a profile and where it stood. */
export interface SlotValue {
  readonly slot: string;
  readonly value: unknown;
}

/**
 * Takes a value from one version of a schema to the next: the same, under another name, of another type, or as several values. An empty
 * list says that it does not hold any longer. It is called for current and for past values, and again if a record could not be written.
 *
 * @example
 * import type { Migration } from 'rlpa';
 * const renamed: Migration = ({ slot, value }) => ({ slot: slot === 'job' ? 'occupation' : slot, value });
 * const split: Migration = (item) =>
 *   item.slot === 'hobbies' ? String(item.value).split(', ').map((value) => ({ slot: 'interests', value })) : item;
 */
export type Migration = (item: SlotValue) => SlotValue | readonly SlotValue[];

/**
 * A record as the present version of the schema has it: each item goes through the migrations that it has not been through. A migration
 * that throws, or gives what is no value of a slot, leaves the item as it is, and the schema decides whether it takes it.
 */
export function migrateRecord<S extends SlotMap>(
  schema: ProfileSchema<S>,
  migrations: readonly Migration[],
  record: UserRecord,
  now: () => string,
): UserRecord {
  if (migrations.length === 0 || record.items.every(({ schemaVersion = 0 }) => schemaVersion >= migrations.length)) return record;
  const at = now();
  const taken = new Set(record.items.map(({ id }) => id));
  return { ...record, items: record.items.flatMap((item) => migrateItem(schema, migrations, item, at, taken)) };
}

/** @param taken the ids that are in use; those of new items are added */
function migrateItem<S extends SlotMap>(
  schema: ProfileSchema<S>,
  migrations: readonly Migration[],
  item: StoredItem,
  at: string,
  taken: Set<string>,
): StoredItem | StoredItem[] {
  const steps = migrations.slice(item.schemaVersion ?? 0);
  if (steps.length === 0) return item;
  let values: readonly SlotValue[] = [{ slot: item.slot, value: item.value }];
  try {
    for (const migrate of steps) values = values.flatMap((value) => migrate(value));
  } catch {
    return item;
  }
  if (values.some((value) => typeof (value as { then?: unknown } | undefined)?.then === 'function')) {
    throw new RlpaError('invalid-option', 'PersonalizedAgent: migrations are not asynchronous; one gave a promise.', {
      option: 'migrations',
    });
  }
  if (!values.every((value) => typeof value?.slot === 'string' && value.value !== undefined)) return item;
  const { refused: _, ...migrated } = { ...item, schemaVersion: migrations.length };
  if (values.length === 0) return { ...migrated, validTo: item.validTo ?? at };
  // Numbered, and not ids of the agent's making: a record that could not be written is migrated again, and the items are the same.
  let number = 1;
  return values.map(({ slot, value }, index) => {
    const definition = definitionOf(schema, slot);
    const moved = definition ? slotItem(definition, value) : profileItem(slot, value);
    if (index === 0) return { ...migrated, ...moved };
    do number++;
    while (taken.has(`${item.id}.${number}`));
    const id = `${item.id}.${number}`;
    taken.add(id);
    return { ...migrated, ...moved, id };
  });
}
