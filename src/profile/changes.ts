import { valueText } from './item';
import type { Profile } from './profile';
import type { SlotMap } from './schema';
import type { Slot, SlotDefinition } from './slot';

/**
 * One step from a profile to the next. What no change mentions stays as it is.
 * - `set`: the value of a `one` slot, or the whole list of a `many` slot.
 * - `add`: one more value of a `many` slot.
 * - `remove`: that value; everything in the slot when no value is given.
 *
 * `ProfileChange<S>` knows the schema's slots and their types; `ProfileChange` is a change of some profile.
 */
export type ProfileChange<S extends SlotMap = SlotMap> = string extends keyof S
  ? { readonly op: 'set' | 'add' | 'remove'; readonly slot: string; readonly value?: unknown }
  : { [K in keyof S & string]: SlotChange<K, S[K]> }[keyof S & string];

type SlotChange<K extends string, T extends Slot> =
  | (T extends Slot<infer Value, 'one'> ? { readonly op: 'set'; readonly slot: K; readonly value: Value } : never)
  | (T extends Slot<infer Value, 'many'>
      ?
          | { readonly op: 'set'; readonly slot: K; readonly value: readonly Value[] }
          | { readonly op: 'add'; readonly slot: K; readonly value: Value }
      : never)
  | (T extends Slot<infer Value> ? { readonly op: 'remove'; readonly slot: K; readonly value?: Value } : never);

/**
 * The changes that lead from one profile to another of the same schema. Values are the same if their items' keys are, so a new
 * spelling of a known value, or another order, is no change.
 *
 * @example
 * import { diffProfiles, ProfileSchema } from 'rlpa';
 * const { standard } = ProfileSchema;
 * diffProfiles(standard.profile({ occupation: 'nurse' }), standard.profile({ occupation: 'teacher' }));
 * // [{ op: 'set', slot: 'occupation', value: 'teacher' }]
 */
export function diffProfiles<S extends SlotMap>(before: Profile<S>, after: Profile<S>): ProfileChange<S>[] {
  const changes: ProfileChange[] = [];
  const removals: ProfileChange[] = [];
  for (const { key: slot, cardinality } of Object.values<SlotDefinition>(after.schema.slots)) {
    const old = new Set(before.itemsOf(slot).map(({ key }) => key));
    const current = new Set(after.itemsOf(slot).map(({ key }) => key));
    const added = after.itemsOf(slot).filter(({ key }) => !old.has(key));
    for (const { value } of added) changes.push({ op: cardinality === 'one' ? 'set' : 'add', slot, value });
    if (cardinality === 'one' && added.length > 0) continue; // what was there is replaced
    for (const { key, value } of before.itemsOf(slot)) if (!current.has(key)) removals.push({ op: 'remove', slot, value });
  }
  return [...changes, ...removals] as ProfileChange<S>[];
}

/** A change in words, for logs and terminals: `occupation: set to nurse`. */
export function changeText(change: ProfileChange): string {
  const value = Array.isArray(change.value)
    ? change.value.map(valueText).join('; ')
    : change.value === undefined
      ? ''
      : valueText(change.value);
  if (change.op === 'set') return `${change.slot}: set to ${value}`;
  return change.op === 'add' ? `${change.slot}: added ${value}` : `${change.slot}: removed${value && ` ${value}`}`;
}
