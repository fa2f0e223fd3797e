import type { ProfileChange } from './changes';
import type { ProfileItem } from './item';
import type { ProfileSchema, SlotMap, ValuesOf } from './schema';
import type { SlotDefinition } from './slot';

const noItems: readonly ProfileItem[] = Object.freeze([]);
const noValues: readonly unknown[] = Object.freeze([]);

/**
 * What is known about a user, at one moment. Immutable; made by `schema.empty()`, `schema.profile(values)` and `profile.with(changes)`.
 *
 * @example
 * import { ProfileSchema } from 'rlpa';
 * const profile = ProfileSchema.standard.profile({ occupation: 'nurse', interests: ['hiking'] });
 * const next = profile.with([{ op: 'add', slot: 'interests', value: 'jazz' }]);
 * next.version; // profile.version + 1
 */
export class Profile<S extends SlotMap = SlotMap> {
  readonly schema: ProfileSchema<S>;
  /** A value or undefined for a `one` slot, a list for a `many` slot. Frozen. */
  readonly values: ValuesOf<S>;
  readonly version: number;
  readonly #bySlot: ReadonlyMap<string, readonly ProfileItem[]>;
  #items: readonly ProfileItem[] | undefined;

  /**
   * @internal The items must have been validated: use `schema.profile`.
   * @param bySlot at most one item for a `one` slot
   * @param previous a profile whose lists are taken over where the items are the very same
   */
  constructor(schema: ProfileSchema<S>, bySlot: ReadonlyMap<string, readonly ProfileItem[]>, version: number, previous?: Profile<S>) {
    const slots: Readonly<Record<string, SlotDefinition>> = schema.slots;
    const earlier: Readonly<Record<string, unknown>> | undefined = previous?.values;
    const values: Record<string, unknown> = {};
    for (const { key, cardinality } of Object.values(slots)) {
      const items = bySlot.get(key) ?? noItems;
      if (earlier && items === previous!.itemsOf(key)) values[key] = earlier[key];
      else if (cardinality === 'one') values[key] = freeze(items[0]?.value);
      else values[key] = items.length > 0 ? Object.freeze(items.map(({ value }) => freeze(value))) : noValues;
    }
    this.schema = schema;
    this.values = Object.freeze(values) as ValuesOf<S>;
    this.version = version;
    this.#bySlot = bySlot;
  }

  /** Every slot-value pair, in the schema's order; each element of a list is one item. */
  items(): readonly ProfileItem[] {
    this.#items ??= Object.freeze(Object.keys(this.schema.slots).flatMap((slot) => this.itemsOf(slot)));
    return this.#items;
  }

  /** The slot's values as items; none for a slot that holds nothing. */
  itemsOf(slot: string): readonly ProfileItem[] {
    return this.#bySlot.get(slot) ?? noItems;
  }

  /** What is known in these slots. */
  pick(slots: readonly string[]): Profile<S> {
    return new Profile(this.schema, new Map(slots.map((slot) => [slot, this.itemsOf(slot)])), this.version, this);
  }

  /** How many items there are. */
  get size(): number {
    return this.schema.slotNames.reduce((sum, slot) => sum + this.itemsOf(slot).length, 0);
  }

  /**
   * The profile after these changes, in order. The same object if they change nothing.
   *
   * @throws `invalid-profile` for an unknown slot, a value that the slot refuses, or `add` to a slot that holds one value.
   */
  with(changes: readonly ProfileChange<S>[]): Profile<S> {
    return this.schema.apply(this, changes);
  }

  /** The values, without slots that hold nothing: `schema.profile` reads it back. */
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this.values).filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)),
    );
  }
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) freeze(child);
  }
  return value;
}
