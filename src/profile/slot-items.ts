import type { ProfileChange } from './changes';
import { type ProfileItem, slotItem, valueText } from './item';
import { closestItem } from './matching';
import type { SlotDefinition } from './slot';

/** A value that a slot would not take. */
export interface RejectedValue {
  readonly slot: string;
  readonly value: unknown;
  readonly reason: string;
}

export type SlotReading<Value = unknown> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly reason: string };

/** Why a value is refused that its type makes into one it would not take, or would change again: what is stored is read by it once more. */
export const unstableType = "the slot's type does not take what it makes of a value; use one without a transform";
const noJson = "the slot's type does not take its own values back from JSON; use one for JSON values, as z.iso.date() for z.date()";

/** Validates one value by the slot's type; one element, for a `many` slot. Never throws. */
export function readValue(definition: SlotDefinition, value: unknown): SlotReading {
  try {
    return checkValue(definition, value);
  } catch (error) {
    // A refinement that throws, or that is asynchronous; a value that is none of JSON's.
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function checkValue({ type, maxLength }: SlotDefinition, value: unknown): SlotReading {
  const reading = readType(type, value);
  if (!reading.ok) return reading;
  const read = reading.value;
  const text = read === undefined || read === null ? '' : valueText(read);
  if (text === '') return { ok: false, reason: `expected a value, found ${found(value)}` };
  if (text.length > maxLength) return { ok: false, reason: `longer than ${maxLength} characters (${text.length})` };
  if (read !== trimmed(value)) {
    const again = readType(type, read);
    if (!again.ok || JSON.stringify(again.value) !== JSON.stringify(read)) return { ok: false, reason: unstableType };
  }
  if (typeof read !== 'string' && !readType(type, JSON.parse(JSON.stringify(read))).ok) return { ok: false, reason: noJson };
  return reading;
}

/** What the type makes of a value. */
function readType(type: SlotDefinition['type'], value: unknown): SlotReading {
  const result = type.safeParse(trimmed(value));
  if (result.success) return { ok: true, value: trimmed(result.data) };
  return { ok: false, reason: `${result.error.issues[0]?.message ?? 'invalid'}, found ${found(value)}` };
}

function trimmed(value: unknown): unknown {
  return typeof value === 'string' ? value.trim() : value;
}

/** What a slot holds after it was given this value, or this list. Of equal values the first is kept. */
export function readItems(definition: SlotDefinition, value: unknown, rejected: RejectedValue[]): readonly ProfileItem[] {
  const refuse = (refused: unknown, reason: string) => rejected.push({ slot: definition.key, value: refused, reason });
  if (definition.cardinality === 'many' && !Array.isArray(value)) {
    refuse(value, `expected a list, found ${found(value)}`);
    return [];
  }
  const items = new Map<string, ProfileItem>();
  for (const element of definition.cardinality === 'many' ? (value as unknown[]) : [value]) {
    const reading = readValue(definition, element);
    if (reading.ok) {
      const item = slotItem(definition, reading.value);
      if (!items.has(item.key)) items.set(item.key, item);
    } else refuse(element, reading.reason);
  }
  return [...items.values()];
}

/** What a slot that holds `current` holds after a change. What is refused leaves it as it was. */
export function changeItems(
  definition: SlotDefinition,
  current: readonly ProfileItem[],
  change: ProfileChange,
  rejected: RejectedValue[],
): readonly ProfileItem[] {
  if (change.op === 'set') return readItems(definition, change.value, rejected);
  if (change.op === 'remove') {
    if (change.value === undefined) return [];
    const reading = readValue(definition, change.value); // what is held was read, too
    const gone = sameItem(definition, current, slotItem(definition, reading.ok ? reading.value : change.value));
    return gone ? current.filter((item) => item !== gone) : current;
  }
  if (definition.cardinality === 'one') {
    rejected.push({ slot: definition.key, value: change.value, reason: 'it holds one value: use "set", not "add"' });
    return current;
  }
  const [added] = readItems(definition, [change.value], rejected);
  if (!added) return current;
  const known = sameItem(definition, current, added);
  if (!known) return [...current, added];
  // Other words for what is known: in a fuzzy slot they take its place. Another spelling of the same words is nothing new.
  return known.key === added.key ? current : current.map((item) => (item === known ? added : item));
}

/** What of a slot's items says the same as another: its equal, and in a slot with `matching: 'fuzzy'` else the most similar. */
function sameItem(definition: SlotDefinition, items: readonly ProfileItem[], wanted: ProfileItem): ProfileItem | undefined {
  const equal = items.find(({ key }) => key === wanted.key);
  return equal ?? (definition.matching === 'fuzzy' ? closestItem(items, wanted) : undefined);
}

/** What was found, short enough for a message. */
export function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  let text: string;
  try {
    text = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
  } catch {
    text = String(value);
  }
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
