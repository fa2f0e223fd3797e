import { normalizeText } from './normalize';

/** One slot-value pair: the unit that precision and recall count. */
export interface ProfileItem {
  readonly slot: string;
  readonly value: unknown;
  /** The value as a person writes it. */
  readonly text: string;
  /** The slot, a colon and the normalised text: the item's identity within a schema. */
  readonly key: string;
}

/** The value as a person writes it; anything but a string, number or boolean as JSON. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return String(value);
  return JSON.stringify(value) ?? '';
}

/**
 * @example
 * profileItem('occupation', 'A Nurse').key; // 'occupation:nurse'
 */
export function profileItem(slot: string, value: unknown): ProfileItem {
  const text = valueText(value);
  return { slot, value, text, key: `${slot}:${normalizeText(text)}` };
}

/** The normalised text of an item, which its key already holds. */
export function normalizedText(item: ProfileItem): string {
  return item.key.slice(item.slot.length + 1);
}
