import { normalizeText } from './normalize';
import type { SlotDefinition } from './slot';
import { tellingSigns } from './telling-signs';

/** One slot-value pair: the unit that precision and recall count. */
export interface ProfileItem {
  readonly slot: string;
  readonly value: unknown;
  /** The value as a person writes it. */
  readonly text: string;
  /**
   * The item's identity within a schema: items with equal keys are the same value. The slot, a sign and
   * - `=`: the text itself, where the slot's matching is `exact` and for what is no text, as numbers and objects;
   * - `~`: the normalised text, as `normalizeText` writes it, and a line for each sign that it has not but that tells values apart: 3.10, `<`,
   *   an address;
   * - `:`: the normalised text of an item of no schema.
   */
  readonly key: string;
  /** The slot is sensitive: the value goes to no third party that only judges. */
  readonly sensitive?: true;
}

/** The value as a person writes it; anything but a string, number or boolean as JSON. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return String(value);
  return JSON.stringify(value) ?? '';
}

/** An item outside of any schema: its value is compared by its normalised text. */
export function profileItem(slot: string, value: unknown): ProfileItem {
  const text = valueText(value);
  return { slot, value, text, key: `${slot}:${normalizeText(text)}` };
}

/**
 * An item of a schema's slot.
 *
 * @param known the value's text and key as they were found out before, perhaps for another matching; without them they are found out now
 */
export function slotItem(
  { key: slot, matching, sensitive }: SlotDefinition,
  value: unknown,
  known?: { text: string; key: string },
): ProfileItem {
  const text = valueText(value);
  let key: string;
  if (matching === 'exact' || typeof value !== 'string') key = `${slot}=${text}`;
  else if (known?.text === text && known.key[slot.length] === '~') key = known.key;
  else key = [`${slot}~${normalizeText(text)}`, ...tellingSigns(text)].join('\n');
  return sensitive ? { slot, value, text, key, sensitive } : { slot, value, text, key };
}

/** The normalised text of an item, where its key holds it. */
export function knownNormalizedText({ slot, key }: ProfileItem): string | undefined {
  const start = slot.length + 1;
  if (key[slot.length] === '=') return undefined;
  const end = key.indexOf('\n', start);
  return end < 0 ? key.slice(start) : key.slice(start, end);
}

/** The normalised text of an item. */
export function normalizedText(item: ProfileItem): string {
  return knownNormalizedText(item) ?? normalizeText(item.text);
}
