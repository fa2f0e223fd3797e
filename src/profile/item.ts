import { normalizeText } from './normalize';
import type { SlotDefinition } from './slot';

/** One slot-value pair: the unit that precision and recall count. */
export interface ProfileItem {
  readonly slot: string;
  readonly value: unknown;
  /** The value as a person writes it. */
  readonly text: string;
  /**
   * The item's identity within a schema: the slot, a colon and the normalised text; in a slot with `matching: 'exact'`, the slot, `=` and
   * the text itself.
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
 * @param known the value's text and key as they were found out before; without them they are found out now
 */
export function slotItem(
  { key: slot, matching, sensitive }: SlotDefinition,
  value: unknown,
  known?: { text: string; key: string },
): ProfileItem {
  const text = valueText(value);
  const key = known?.text === text ? known.key : matching === 'exact' ? `${slot}=${text}` : `${slot}:${normalizeText(text)}`;
  return sensitive ? { slot, value, text, key, sensitive } : { slot, value, text, key };
}

/** The normalised text of an item, which its key holds already where that is not the text itself. */
export function normalizedText(item: ProfileItem): string {
  return item.key[item.slot.length] === ':' ? item.key.slice(item.slot.length + 1) : normalizeText(item.text);
}
