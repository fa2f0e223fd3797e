import { text, type ValueType } from './value-type';

export type Cardinality = 'one' | 'many';

export interface SlotOptions {
  /** The name that people and models read; by default the key made readable: `educationBackground` is "Education Background". */
  readonly label?: string | undefined;
  /** What belongs in the slot: goes into prompts and JSON schemas. */
  readonly description?: string | undefined;
  /**
   * How two values are compared when nothing else is asked for. By default `exact` where the type lists its texts or gives them a format, as
   * `z.enum` and `z.email()`, else `normalized`. What a profile holds is told apart by more than its normalised text, so that no
   * value is taken for another: see `ProfileItem.key`.
   */
  readonly matching?: 'exact' | 'normalized' | 'fuzzy' | undefined;
  /** Most characters in the text of one value. */
  readonly maxLength?: number | undefined;
  /** Values are neither inferred nor stored without the user's consent. */
  readonly sensitive?: boolean | undefined;
}

/** One kind of fact about a user, before it has a name in a schema. */
export interface Slot<Value = unknown, C extends Cardinality = Cardinality> {
  readonly cardinality: C;
  /** The type of one value; of each element when the cardinality is `many`. */
  readonly type: ValueType<Value>;
  /** Free-form facts that fit no other slot. */
  readonly open: boolean;
  readonly options: SlotOptions;
}

/** A slot with its name and every option settled. */
export interface SlotDefinition<Value = unknown, C extends Cardinality = Cardinality> {
  readonly key: string;
  readonly label: string;
  readonly cardinality: C;
  readonly type: ValueType<Value>;
  readonly open: boolean;
  readonly description: string | undefined;
  readonly matching: 'exact' | 'normalized' | 'fuzzy';
  readonly maxLength: number;
  readonly sensitive: boolean;
}

/**
 * Makes slots. Values are JSON values: strings, numbers, booleans, or objects of them (so `z.iso.date()` rather than `z.date()`). What is
 * stored is read by the same type again, so a type may tidy a value (`z.string().toLowerCase()`) but not turn it into what it would not take
 * (`z.stringbool()`, `z.string().transform(Number)`): such a value is refused when it is first read.
 *
 * @example
 * import { ProfileSchema, slot } from 'rlpa';
 * import { z } from 'zod';
 * const schema = ProfileSchema.define({
 *   age: slot.one(z.int()),
 *   interests: slot.many(z.string(), { description: 'what they like to do' }),
 *   health: slot.many(z.string(), { sensitive: true }),
 *   other: slot.open(),
 * });
 */
export const slot = {
  /** At most one value. */
  one<Value>(type: ValueType<Value>, options: SlotOptions = {}): Slot<Value, 'one'> {
    return { cardinality: 'one', type, open: false, options };
  },
  /** Any number of values, all different. */
  many<Value>(type: ValueType<Value>, options: SlotOptions = {}): Slot<Value, 'many'> {
    return { cardinality: 'many', type, open: false, options };
  },
  /** Any number of free-form strings, for facts that fit no typed slot. */
  open(options: SlotOptions = {}): Slot<string, 'many'> {
    return { cardinality: 'many', type: text, open: true, options };
  },
};
