import { RlpaError } from '../errors';
import type { ProfileChange } from './changes';
import { hasFixedForm } from './fixed-form';
import { type ProfileItem, slotItem } from './item';
import { Profile } from './profile';
import { type Cardinality, type Slot, type SlotDefinition, type SlotOptions, slot } from './slot';
import { changeItems, found, type RejectedValue, readItems, readValue, type SlotReading } from './slot-items';
import { valueSchemas } from './value-schema';
import { text, type ValueType, wholeNumber } from './value-type';

export type SlotMap = Readonly<Record<string, Slot>>;

type SlotValue<T> = T extends Slot<infer Value, infer C> ? (C extends 'one' ? Value | undefined : readonly Value[]) : never;
type SlotInput<T> = T extends Slot<infer Value, infer C> ? (C extends 'one' ? Value | null : readonly Value[]) : never;

export type ValuesOf<S extends SlotMap> = { readonly [K in keyof S]: string extends K ? unknown : SlotValue<S[K]> };
export type InputOf<S extends SlotMap> = { readonly [K in keyof S]?: string extends K ? unknown : SlotInput<S[K]> };
export type DefinitionsOf<S extends SlotMap> = { readonly [K in keyof S]: SlotDefinition<ValueIn<S[K]>, S[K]['cardinality']> };
type ValueIn<T extends Slot> = T extends Slot<infer Value> ? Value : never;

/** The type of a schema's values: `ProfileValues<typeof schema>`. */
export type ProfileValues<Schema> = Schema extends ProfileSchema<infer S> ? ValuesOf<S> : never;

const defaultMaxLength = 1000;

/** What we want to know about a user: named, typed slots. */
export class ProfileSchema<S extends SlotMap = SlotMap> {
  readonly slots: DefinitionsOf<S>;
  readonly slotNames: readonly (keyof S & string)[];
  readonly #byLabel: ReadonlyMap<string, SlotDefinition>;
  readonly #empty: Profile<S>;

  private constructor(slots: S) {
    const definitions: Record<string, SlotDefinition> = Object.create(null);
    const byLabel = new Map<string, SlotDefinition>();
    for (const [key, value] of Object.entries(slots)) {
      const definition = defineSlot(key, value);
      definitions[key] = definition;
      for (const name of new Set([foldLabel(key), foldLabel(definition.label)])) {
        const other = byLabel.get(name);
        if (other) throw invalidSchema(key, `its name "${definition.label}" is also that of slot "${other.key}"`);
        byLabel.set(name, definition);
      }
    }
    if (byLabel.size === 0) throw new RlpaError('invalid-schema', 'A profile schema needs at least one slot; found none.');
    this.slots = Object.freeze(definitions) as DefinitionsOf<S>;
    this.slotNames = Object.freeze(Object.keys(definitions));
    this.#byLabel = byLabel;
    this.#empty = new Profile(this, new Map(), 0);
  }

  /**
   * @throws `invalid-schema` without slots, for an empty or doubled label, for an option that slots do not have, and for a type that is no
   * {@link ValueType}, as those of zod/mini.
   * @example
   * import { ProfileSchema, slot, text } from 'rlpa';
   * const schema = ProfileSchema.define({ occupation: slot.one(text), interests: slot.many(text) });
   */
  static define<const S extends SlotMap>(slots: S): ProfileSchema<S> {
    if (typeof slots !== 'object' || slots === null) {
      throw new RlpaError('invalid-schema', `A profile schema is defined by an object of slots; found ${found(slots)}.`);
    }
    return new ProfileSchema(slots);
  }

  /** The ten slots of the RLPA paper (arXiv 2505.15456). */
  static get standard() {
    standard ??= ProfileSchema.define(standardSlots());
    return standard;
  }

  /** The slot with this label or key; case, white space, `_` and `-` do not matter. */
  slotByLabel(label: string): SlotDefinition | undefined {
    return this.#byLabel.get(foldLabel(label));
  }

  /** Nothing known yet; version 0. */
  empty(): Profile<S> {
    return this.#empty;
  }

  /**
   * @throws `invalid-profile` naming the slot and what was found, for an unknown slot or a value that the slot refuses.
   * @example
   * import { ProfileSchema } from 'rlpa';
   * ProfileSchema.standard.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'] });
   */
  profile(values: InputOf<S>, version = 0): Profile<S> {
    const { profile, rejected } = this.safeProfile(values, version);
    if (rejected.length > 0) throw invalidProfile(rejected[0]!);
    return profile;
  }

  /** Takes what is valid and reports the rest. Of equal values in a list, the first is kept. */
  safeProfile(values: unknown, version = 0): { profile: Profile<S>; rejected: RejectedValue[] } {
    const rejected: RejectedValue[] = [];
    const bySlot = new Map<string, readonly ProfileItem[]>();
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      return {
        profile: this.#empty,
        rejected: [{ slot: '', value: values, reason: `expected an object of slots, found ${found(values)}` }],
      };
    }
    for (const [key, value] of Object.entries(values)) {
      const definition = this.#definitions()[key];
      if (!definition) rejected.push({ slot: key, value, reason: this.#noSuchSlot() });
      else if (value !== undefined && value !== null) bySlot.set(key, readItems(definition, value, rejected));
    }
    return { profile: new Profile(this, bySlot, version), rejected };
  }

  /**
   * The profile that items written earlier come to, perhaps written for another version of this schema. Each value is validated again.
   * Of several values for a `one` slot the last is in force; of equal values in a list the first.
   *
   * @returns the profile, which of the items are not in force and why, and which have another key by now
   */
  restore<Item extends ProfileItem>(
    items: Iterable<Item>,
    version = 0,
  ): { profile: Profile<S>; refused: ReadonlyMap<Item, string>; rekeyed: ReadonlyMap<Item, string> } {
    const refused = new Map<Item, string>();
    const rekeyed = new Map<Item, string>();
    const bySlot = new Map<string, ProfileItem[]>();
    const keys = new Set<string>();
    const inForce = new Map<string, Item>(); // in slots that hold one value
    for (const from of items) {
      const definition = this.#definitions()[from.slot];
      const reading = definition ? readValue(definition, from.value) : ({ ok: false, reason: this.#noSuchSlot() } as const);
      if (!definition || !reading.ok) {
        refused.set(from, (reading as { reason: string }).reason);
        continue;
      }
      const item = slotItem(definition, reading.value, from);
      if (item.key !== from.key) rekeyed.set(from, item.key);
      if (definition.cardinality === 'one') {
        const earlier = inForce.get(item.slot);
        if (earlier) refused.set(earlier, 'the slot holds one value, and a later one is there');
        inForce.set(item.slot, from);
        bySlot.set(item.slot, [item]);
        continue;
      }
      // Of thousands of items, finding equal keys takes most of the time: each is looked up once.
      const different = keys.size;
      if (keys.add(item.key).size === different) refused.set(from, 'the same value is there already');
      else {
        const list = bySlot.get(item.slot);
        if (list) list.push(item);
        else bySlot.set(item.slot, [item]);
      }
    }
    return { profile: new Profile(this, bySlot, version), refused, rekeyed };
  }

  /** Validates one value (one element, for a `many` slot). */
  read(key: string, value: unknown): SlotReading {
    const definition = this.#definitions()[key];
    return definition ? readValue(definition, value) : { ok: false, reason: `the schema has no slot "${key}"` };
  }

  /** @internal See `Profile.with`. */
  apply(profile: Profile<S>, changes: readonly ProfileChange[]): Profile<S> {
    const touched = new Map<string, readonly ProfileItem[]>();
    for (const change of changes) {
      if (!operations.has(change?.op)) {
        const reason = `a change is "set", "add" or "remove", found ${found(change?.op)}`;
        throw invalidProfile({ slot: change?.slot, value: change?.value, reason });
      }
      const definition = this.#definitions()[change.slot];
      if (!definition) throw invalidProfile({ slot: change.slot, value: change.value, reason: this.#noSuchSlot() });
      const rejected: RejectedValue[] = [];
      touched.set(change.slot, changeItems(definition, touched.get(change.slot) ?? profile.itemsOf(change.slot), change, rejected));
      if (rejected.length > 0) throw invalidProfile(rejected[0]!);
    }
    if ([...touched].every(([slot, items]) => sameItems(items, profile.itemsOf(slot)))) return profile;
    const bySlot = new Map(this.slotNames.map((slot) => [slot as string, touched.get(slot) ?? profile.itemsOf(slot)]));
    return new Profile(this, bySlot, profile.version + 1, profile);
  }

  /** A JSON Schema (2020-12) of the values: an object with one optional property for each slot. */
  jsonSchema(): Record<string, unknown> {
    const properties: Record<string, unknown> = {};
    const definitions = Object.values(this.#definitions());
    const { values, root } = valueSchemas(definitions);
    for (const definition of definitions) {
      const value = values[definition.key]!;
      const about = { title: definition.label, ...(definition.description && { description: definition.description }) };
      properties[definition.key] = definition.cardinality === 'many' ? { ...about, type: 'array', items: value } : { ...about, ...value };
    }
    return { type: 'object', properties, additionalProperties: false, ...root };
  }

  #definitions(): Readonly<Record<string, SlotDefinition>> {
    return this.slots;
  }

  #noSuchSlot(): string {
    return `the schema has no such slot (it has ${this.slotNames.join(', ')})`;
  }
}

/** Made when asked for: most apps define a schema of their own. */
let standard: ProfileSchema<ReturnType<typeof standardSlots>> | undefined;

function standardSlots() {
  return {
    age: slot.one(wholeNumber(0, 130)),
    gender: slot.one(text),
    interests: slot.many(text),
    educationBackground: slot.one(text),
    personalityTraits: slot.many(text),
    occupation: slot.one(text),
    maritalStatus: slot.one(text),
    familyBackground: slot.one(text),
    location: slot.one(text),
    otherInformation: slot.open(),
  };
}

const matchings: ReadonlySet<unknown> = new Set<SlotDefinition['matching']>(['exact', 'normalized', 'fuzzy']);
const slotOptions: ReadonlySet<string> = new Set<keyof SlotOptions>(['label', 'description', 'matching', 'maxLength', 'sensitive']);

function defineSlot(key: string, value: Slot): SlotDefinition {
  if (!/^[\p{L}_][\p{L}\p{N}_-]*$/u.test(key) || key === '__proto__') {
    throw invalidSchema(key, 'a slot name is letters, digits, "_" and "-", and begins with a letter');
  }
  if (typeof value !== 'object' || value === null || (value.cardinality !== 'one' && value.cardinality !== 'many')) {
    throw invalidSchema(key, `expected slot.one(…), slot.many(…) or slot.open(), found ${found(value)}`);
  }
  if (typeof value.type?.safeParse !== 'function' || typeof value.type.toJSONSchema !== 'function') {
    throw invalidSchema(key, `expected a type of zod 4.2 or later (not zod/mini), text or wholeNumber(…), found ${found(value.type)}`);
  }
  const unknown = Object.keys(value.options).find((option) => !slotOptions.has(option));
  if (unknown !== undefined) throw invalidSchema(key, `it has no option "${unknown}" (its options are ${[...slotOptions].join(', ')})`);
  const { label = humanize(key), description, maxLength = defaultMaxLength, sensitive = false } = value.options;
  if (!/^[^\s:<>-][^\n\r:<>]*$/.test(label) || label !== label.trim()) {
    throw invalidSchema(key, `a label is one line of text without ":", "<" and ">", found "${label}"`);
  }
  const matching = value.options.matching ?? usualMatching(key, value.type);
  if (!matchings.has(matching)) throw invalidSchema(key, `matching is ${[...matchings].join(', ')}, found ${found(matching)}`);
  if (!(maxLength >= 1)) throw invalidSchema(key, `maxLength is at least 1, found ${maxLength}`);
  return Object.freeze({
    key,
    label,
    cardinality: value.cardinality,
    type: value.type,
    open: value.open,
    description,
    matching,
    maxLength,
    sensitive,
  });
}

function usualMatching(key: string, type: ValueType): SlotDefinition['matching'] {
  try {
    return hasFixedForm(type) ? 'exact' : 'normalized';
  } catch (error) {
    throw invalidSchema(key, `its type cannot tell its JSON Schema: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const operations: ReadonlySet<string> = new Set<ProfileChange['op']>(['set', 'add', 'remove']);

function sameItems(items: readonly ProfileItem[], others: readonly ProfileItem[]): boolean {
  if (items === others) return true;
  return (
    items.length === others.length &&
    items.every((item, i) => item.text === others[i]!.text && typeof item.value === typeof others[i]!.value)
  );
}

function humanize(key: string): string {
  const words = key
    .replace(/[_-]+/g, ' ')
    .replace(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
    .trim()
    .split(/\s+/);
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ');
}

function foldLabel(label: string): string {
  return label
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s_-]+/g, '');
}

function invalidSchema(key: string, reason: string): RlpaError {
  return new RlpaError('invalid-schema', `Slot "${key}": ${reason}.`, { slot: key });
}

function invalidProfile({ slot, value, reason }: RejectedValue): RlpaError {
  return new RlpaError('invalid-profile', slot ? `Slot "${slot}": ${reason}.` : `A profile was refused: ${reason}.`, {
    slot,
    value,
    reason,
  });
}

export type { Cardinality };
