import { z } from 'zod';
import { RlpaError } from '../errors';
import type { ProfileChange } from './changes';
import { valueText } from './item';
import { normalizeText } from './normalize';
import { Profile } from './profile';
import { type Cardinality, type Slot, type SlotDefinition, slot } from './slot';

export type SlotMap = Readonly<Record<string, Slot>>;

type SlotValue<T> = T extends Slot<infer Value, infer C> ? (C extends 'one' ? Value | undefined : readonly Value[]) : never;
type SlotInput<T> = T extends Slot<infer Value, infer C> ? (C extends 'one' ? Value | null : readonly Value[]) : never;

export type ValuesOf<S extends SlotMap> = { readonly [K in keyof S]: string extends K ? unknown : SlotValue<S[K]> };
export type InputOf<S extends SlotMap> = { readonly [K in keyof S]?: string extends K ? unknown : SlotInput<S[K]> };
export type DefinitionsOf<S extends SlotMap> = {
  readonly [K in keyof S]: S[K] extends Slot<infer Value, infer C> ? SlotDefinition<Value, C> : never;
};

/** The type of a schema's values: `ProfileValues<typeof schema>`. */
export type ProfileValues<Schema> = Schema extends ProfileSchema<infer S> ? ValuesOf<S> : never;

/** A value that a slot would not take. */
export interface RejectedValue {
  readonly slot: string;
  readonly value: unknown;
  readonly reason: string;
}

export type SlotReading<Value = unknown> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly reason: string };

const defaultMaxLength = 1000;
const emptyList: readonly unknown[] = Object.freeze([]);

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
    this.#empty = new Profile(this, freezeValues(this.#definitions(), {}) as ValuesOf<S>, 0);
  }

  /**
   * @throws `invalid-schema` without slots, for an empty or doubled label, and for a type that is not zod's.
   * @example
   * const schema = ProfileSchema.define({ occupation: slot.one(z.string()), interests: slot.many(z.string()) });
   */
  static define<const S extends SlotMap>(slots: S): ProfileSchema<S> {
    if (typeof slots !== 'object' || slots === null) {
      throw new RlpaError('invalid-schema', `A profile schema is defined by an object of slots; found ${found(slots)}.`);
    }
    return new ProfileSchema(slots);
  }

  /** The ten slots of the RLPA paper (arXiv 2505.15456). */
  static readonly standard = ProfileSchema.define({
    age: slot.one(z.int().min(0).max(130)),
    gender: slot.one(z.string()),
    interests: slot.many(z.string()),
    educationBackground: slot.one(z.string()),
    personalityTraits: slot.many(z.string()),
    occupation: slot.one(z.string()),
    maritalStatus: slot.one(z.string()),
    familyBackground: slot.one(z.string()),
    location: slot.one(z.string()),
    otherInformation: slot.open(),
  });

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
   * schema.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'] });
   */
  profile(values: InputOf<S>, version = 0): Profile<S> {
    const { profile, rejected } = this.safeProfile(values, version);
    if (rejected.length > 0) throw invalidProfile(rejected[0]!);
    return profile;
  }

  /** Takes what is valid and reports the rest. Of equal values in a list, the first is kept. */
  safeProfile(values: unknown, version = 0): { profile: Profile<S>; rejected: RejectedValue[] } {
    const rejected: RejectedValue[] = [];
    const accepted: Record<string, unknown> = {};
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      return {
        profile: this.#empty,
        rejected: [{ slot: '', value: values, reason: `expected an object of slots, found ${found(values)}` }],
      };
    }
    for (const [key, value] of Object.entries(values)) {
      const definition = this.#definitions()[key];
      if (!definition) rejected.push({ slot: key, value, reason: `the schema has no such slot (it has ${this.slotNames.join(', ')})` });
      else if (value !== undefined && value !== null) accepted[key] = readSlot(definition, value, rejected);
    }
    return { profile: new Profile(this, freezeValues(this.#definitions(), accepted) as ValuesOf<S>, version), rejected };
  }

  /** Validates one value (one element, for a `many` slot). */
  read(key: string, value: unknown): SlotReading {
    const definition = this.#definitions()[key];
    return definition ? readValue(definition, value) : { ok: false, reason: `the schema has no slot "${key}"` };
  }

  /** @internal See `Profile.with`. */
  apply(profile: Profile<S>, changes: readonly ProfileChange[]): Profile<S> {
    const values: Record<string, unknown> = { ...profile.values };
    for (const change of changes) {
      const definition = this.#definitions()[change.slot];
      if (!definition) {
        const reason = `the schema has no such slot (it has ${this.slotNames.join(', ')})`;
        throw invalidProfile({ slot: change.slot, value: change.value, reason });
      }
      const rejected: RejectedValue[] = [];
      values[change.slot] = changedSlot(definition, values[change.slot], change, rejected);
      if (rejected.length > 0) throw invalidProfile(rejected[0]!);
    }
    const next = freezeValues(this.#definitions(), values);
    const touched = new Set(changes.map(({ slot }) => slot));
    const same = (slot: string) => JSON.stringify(next[slot]) === JSON.stringify((profile.values as typeof next)[slot]);
    if ([...touched].every(same)) return profile;
    return new Profile(this, next as ValuesOf<S>, profile.version + 1);
  }

  /** A JSON Schema (2020-12) of the values: an object with one optional property for each slot. */
  jsonSchema(): Record<string, unknown> {
    const properties: Record<string, unknown> = {};
    for (const definition of Object.values(this.#definitions())) {
      const value = valueJsonSchema(definition);
      const about = { title: definition.label, ...(definition.description && { description: definition.description }) };
      properties[definition.key] = definition.cardinality === 'many' ? { ...about, type: 'array', items: value } : { ...about, ...value };
    }
    return { type: 'object', properties, additionalProperties: false };
  }

  #definitions(): Readonly<Record<string, SlotDefinition>> {
    return this.slots as Readonly<Record<string, SlotDefinition>>;
  }
}

/** The JSON Schema of one value of a slot. */
export function valueJsonSchema(definition: SlotDefinition): Record<string, unknown> {
  const { $schema: _, ...schema } = z.toJSONSchema(definition.type, { unrepresentable: 'any', io: 'input' });
  return schema;
}

function defineSlot(key: string, value: Slot): SlotDefinition {
  if (!/^[\p{L}_][\p{L}\p{N}_-]*$/u.test(key) || key === '__proto__') {
    throw invalidSchema(key, 'a slot name is letters, digits, "_" and "-", and begins with a letter');
  }
  if (typeof value !== 'object' || value === null || (value.cardinality !== 'one' && value.cardinality !== 'many')) {
    throw invalidSchema(key, `expected slot.one(…), slot.many(…) or slot.open(), found ${found(value)}`);
  }
  if (typeof value.type?.safeParse !== 'function' || !('_zod' in value.type)) {
    throw invalidSchema(key, `expected a zod 4 type, found ${found(value.type)}`);
  }
  const { label = humanize(key), description, matching = 'normalized', maxLength = defaultMaxLength, sensitive = false } = value.options;
  if (!/^[^\s:<>-][^\n\r:<>]*$/.test(label) || label !== label.trim()) {
    throw invalidSchema(key, `a label is one line of text without ":", "<" and ">", found "${label}"`);
  }
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

function readSlot(definition: SlotDefinition, value: unknown, rejected: RejectedValue[]): unknown {
  const refuse = (refused: unknown, reason: string) => {
    rejected.push({ slot: definition.key, value: refused, reason });
  };
  if (definition.cardinality === 'one') {
    const reading = readValue(definition, value);
    if (reading.ok) return reading.value;
    return refuse(value, reading.reason);
  }
  if (!Array.isArray(value)) return refuse(value, `expected a list, found ${found(value)}`);
  const values: unknown[] = [];
  for (const element of value) {
    const reading = readValue(definition, element);
    if (reading.ok) values.push(reading.value);
    else refuse(element, reading.reason);
  }
  return values;
}

function readValue(definition: SlotDefinition, value: unknown): SlotReading {
  let result: ReturnType<z.ZodType['safeParse']>;
  try {
    result = definition.type.safeParse(typeof value === 'string' ? value.trim() : value);
  } catch (error) {
    // A refinement that throws, or that is asynchronous.
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
  if (!result.success) return { ok: false, reason: `${result.error.issues[0]?.message ?? 'invalid'}, found ${found(value)}` };
  const read = typeof result.data === 'string' ? result.data.trim() : result.data;
  const text = read === undefined || read === null ? '' : valueText(read);
  if (text === '') return { ok: false, reason: `expected a value, found ${found(value)}` };
  if (text.length > definition.maxLength) return { ok: false, reason: `longer than ${definition.maxLength} characters (${text.length})` };
  return { ok: true, value: read };
}

function changedSlot(definition: SlotDefinition, current: unknown, change: ProfileChange, rejected: RejectedValue[]): unknown {
  if (change.op === 'set') return readSlot(definition, change.value, rejected);
  if (change.op === 'remove') {
    if (change.value === undefined || current === undefined) return undefined;
    const gone = normalizeText(valueText(change.value));
    if (Array.isArray(current)) return current.filter((element) => normalizeText(valueText(element)) !== gone);
    return normalizeText(valueText(current)) === gone ? undefined : current;
  }
  if (definition.cardinality === 'one') {
    rejected.push({ slot: definition.key, value: change.value, reason: 'it holds one value: use "set", not "add"' });
    return current;
  }
  return [...(Array.isArray(current) ? current : []), ...((readSlot(definition, [change.value], rejected) as unknown[]) ?? [])];
}

/** All slots in the schema's order, lists without doubles, everything frozen. */
function freezeValues(definitions: Readonly<Record<string, SlotDefinition>>, values: Record<string, unknown>): Record<string, unknown> {
  const frozen: Record<string, unknown> = {};
  for (const { key, cardinality } of Object.values(definitions)) {
    const value = values[key];
    if (Object.isFrozen(value))
      frozen[key] = value; // primitives, and what another profile of the schema holds already
    else frozen[key] = freeze(cardinality === 'one' ? value : distinct(value as unknown[]));
    if (cardinality === 'many') frozen[key] ??= emptyList;
  }
  return Object.freeze(frozen);
}

function distinct(values: readonly unknown[]): unknown[] {
  if (values.length < 2) return [...values];
  const seen = new Set<string>();
  return values.filter((value) => {
    const identity = normalizeText(valueText(value));
    return !seen.has(identity) && seen.add(identity);
  });
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) freeze(child);
  }
  return value;
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

/** What was found, short enough for a message. */
function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  let text: string;
  try {
    text = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
  } catch {
    text = String(value);
  }
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
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
