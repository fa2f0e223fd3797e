import { RlpaError } from '../errors';
import { contentWords } from '../language/index';
import type { Profile, ProfileItem, SlotMap } from '../profile/index';
import type { StoredItem, StoredTurn } from './user-record';

/**
 * How much of what is kept of a user goes into a prompt, in characters: four of them make about one token of English, one or two of
 * Chinese or Japanese. The instruction and the user's new message are not counted.
 */
export interface PromptBudget {
  /** Default 6,000. */
  readonly profile?: number;
  /** Default 24,000. */
  readonly history?: number;
}

const defaultBudget: Required<PromptBudget> = { profile: 6_000, history: 24_000 };

/** What an item or a turn costs besides its text: quotes, indentation, the markers of a message. */
const itemFrame = 8;
const turnFrame = 16;

/** @throws `invalid-option` */
export function checkBudget(budget: PromptBudget = {}): Required<PromptBudget> {
  for (const [option, value] of Object.entries(budget)) {
    if (value !== undefined && !(value >= 0)) {
      throw new RlpaError('invalid-option', `promptBudget.${option} is a number of characters, found ${value}.`, {
        option: 'promptBudget',
      });
    }
  }
  return { profile: budget.profile ?? defaultBudget.profile, history: budget.history ?? defaultBudget.history };
}

/**
 * The part of a profile that fits: the items with most words of the message first, among equals the ones that were learnt last, among
 * those in the schema's order. The same profile where all of it fits.
 *
 * @param stored says when the items were learnt
 */
export function relevantPart<S extends SlotMap>(
  profile: Profile<S>,
  { message, stored, budget }: { readonly message: string; readonly stored: readonly StoredItem[]; readonly budget: number },
): Profile<S> {
  const items = profile.items();
  const costs = items.map(({ text }) => text.length + itemFrame);
  if (costs.reduce((sum, cost) => sum + cost, 0) <= budget) return profile;
  const learnt = new Map<string, number>();
  for (const [order, { key, validTo }] of stored.entries()) if (validTo === undefined) learnt.set(key, order);
  const subjects = [...contentWords(message)];
  const ranked = items
    .map((item, order) => ({ item, order, relevance: relevance(item, subjects), learnt: learnt.get(item.key) ?? -1 }))
    .sort((a, b) => b.relevance - a.relevance || b.learnt - a.learnt || a.order - b.order);
  const chosen = new Set<ProfileItem>();
  let left = budget;
  for (const { item, order } of ranked) {
    if (costs[order]! > left) continue;
    left -= costs[order]!;
    chosen.add(item);
  }
  const part = items.filter((item) => chosen.has(item));
  return profile.schema.restore(part, profile.version).profile;
}

/** The latest turns that fit, oldest first. */
export function turnsWithin(turns: readonly StoredTurn[], budget: number): readonly StoredTurn[] {
  let left = budget;
  let first = turns.length;
  while (first > 0) {
    const { message, text } = turns[first - 1]!;
    left -= message.length + text.length + turnFrame;
    if (left < 0) break;
    first--;
  }
  return turns.slice(first);
}

/** How many of the message's subject words begin a word of the item: the stem of "hikes" begins "hiking". */
function relevance({ key }: ProfileItem, subjects: readonly string[]): number {
  const text = ` ${key.slice(key.indexOf(':') + 1)}`;
  let count = 0;
  for (const subject of subjects) if (text.includes(` ${subject}`)) count++;
  return count;
}
