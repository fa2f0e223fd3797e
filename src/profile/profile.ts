import type { ProfileChange } from './changes';
import { type ProfileItem, profileItem } from './item';
import type { ProfileSchema, SlotMap, ValuesOf } from './schema';

/**
 * What is known about a user, at one moment. Immutable; made by `schema.empty()`, `schema.profile(values)` and `profile.with(changes)`.
 *
 * @example
 * const profile = schema.profile({ occupation: 'nurse', interests: ['hiking'] });
 * const next = profile.with([{ op: 'add', slot: 'interests', value: 'jazz' }]);
 * next.version; // profile.version + 1
 */
export class Profile<S extends SlotMap = SlotMap> {
  readonly schema: ProfileSchema<S>;
  /** A value or undefined for a `one` slot, a list for a `many` slot. Frozen. */
  readonly values: ValuesOf<S>;
  readonly version: number;
  #items: readonly ProfileItem[] | undefined;

  /** @internal The values must have been validated: use `schema.profile`. */
  constructor(schema: ProfileSchema<S>, values: ValuesOf<S>, version: number) {
    this.schema = schema;
    this.values = values;
    this.version = version;
  }

  /** Every slot-value pair, in the schema's order; each element of a list is one item. */
  items(): readonly ProfileItem[] {
    this.#items ??= Object.freeze(
      Object.entries(this.values).flatMap(([slot, value]) => {
        if (Array.isArray(value)) return value.map((element) => profileItem(slot, element));
        return value === undefined ? [] : [profileItem(slot, value)];
      }),
    );
    return this.#items;
  }

  /** How many items there are. */
  get size(): number {
    return this.items().length;
  }

  /**
   * The profile after these changes, in order. The same object if they change nothing.
   *
   * @throws `invalid-profile` for an unknown slot, a value that the slot refuses, or `add` to a slot that holds one value.
   */
  with(changes: readonly ProfileChange[]): Profile<S> {
    return this.schema.apply(this, changes);
  }

  /** The values, without slots that hold nothing: `schema.profile` reads it back. */
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this.values).filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)),
    );
  }
}
