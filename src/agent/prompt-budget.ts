import { checkKnown, invalidOption } from '../errors';
import { contentWords } from '../language/index';
import { foldCharacters, knownNormalizedText, type Profile, type ProfileItem, type SlotMap } from '../profile/index';
import type { StoredItem, StoredTurn } from './user-record';

/**
 * How much of what is kept of a user goes into a prompt, in characters: four of them make about one token of English, one or two of
 * Chinese or Japanese. The instruction and the user's new message are not counted.
 */
export interface PromptBudget {
  /** Default 6,000. */
  readonly profile?: number | undefined;
  /** Default 24,000. */
  readonly history?: number | undefined;
}

const defaultBudget: Required<PromptBudget> = { profile: 6_000, history: 24_000 };

/** What an item or a turn costs besides its text: quotes, indentation, the markers of a message. */
const itemFrame = 8;
const turnFrame = 16;

/** @throws `invalid-option` */
export function checkBudget(budget: PromptBudget = {}): Required<PromptBudget> {
  checkKnown('promptBudget', budget, defaultBudget);
  for (const [option, value] of Object.entries(budget)) {
    if (value !== undefined && !(typeof value === 'number' && value >= 0))
      throw invalidOption('PersonalizedAgent', `promptBudget.${option}`, 'a number of at least 0', value);
  }
  return { profile: budget.profile ?? defaultBudget.profile, history: budget.history ?? defaultBudget.history };
}

/**
 * The part of a profile that fits: the items with most words of the message first, among equals the ones that were learnt last. The same
 * profile where all of it fits.
 *
 * @param stored what the profile was read from, in the order in which it was learnt
 */
export function relevantPart<S extends SlotMap>(
  profile: Profile<S>,
  { message, stored, budget }: { readonly message: string; readonly stored: readonly StoredItem[]; readonly budget: number },
): Profile<S> {
  if (fits(profile, budget)) return profile;
  const isCurrent = ({ slot, validTo }: StoredItem) => validTo === undefined && profile.itemsOf(slot).length > 0;
  const chosen: number[] = [];
  let left = budget;
  for (const place of ranked(stored, isCurrent, subjectsOf(message))) {
    if (left <= itemFrame) break;
    const cost = costOf(stored[place]!);
    if (cost > left) continue;
    left -= cost;
    chosen.push(place);
  }
  const part = chosen.sort((a, b) => a - b).map((place) => stored[place]!);
  return profile.schema.restore(part, profile.version).profile;
}

function fits(profile: Profile, budget: number): boolean {
  let left = budget;
  for (const slot of profile.schema.slotNames) {
    for (const item of profile.itemsOf(slot)) {
      left -= costOf(item);
      if (left < 0) return false;
    }
  }
  return true;
}

/** The beginnings of the message's subject words. A stem ends in "i" where the word ends in "y". */
function subjectsOf(message: string): string[] {
  return [...contentWords(message)].map((stem) => stem.replace(/(?<=..)i$/, ''));
}

function costOf({ text }: ProfileItem): number {
  return text.length + itemFrame;
}

/** The places of the wanted items, without sorting them all: of thousands, few have to do with the message, and few are taken. */
function* ranked(items: readonly StoredItem[], isWanted: (item: StoredItem) => boolean, subjects: readonly string[]): Iterable<number> {
  const counts = items.map(relevanceTo(subjects));
  for (let count = counts.reduce((most, each) => Math.max(most, each), 0); count >= 0; count--)
    for (let place = items.length - 1; place >= 0; place--) if (counts[place] === count && isWanted(items[place]!)) yield place;
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

/** How many of the message's subject words begin a word of an item: the stem of "hikes" begins "hiking". */
function relevanceTo(subjects: readonly string[]): (item: ProfileItem) => number {
  if (subjects.length === 0) return () => 0;
  // Most items hold none, which one look tells. Subjects are letters and digits, so that they mean themselves.
  const any = new RegExp(subjects.join('|'));
  return (item) => {
    const text = knownNormalizedText(item) ?? foldCharacters(item.text);
    return any.test(text) ? subjects.filter((subject) => hasWord(text, subject)).length : 0;
  };
}

/** Whether a word of a text begins like this. */
function hasWord(text: string, start: string): boolean {
  const isInWord = (at: number) => at > 0 && /[\p{L}\p{N}]/u.test(text[at - 1]!);
  for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, at + 1)) if (!isInWord(at)) return true;
  return false;
}
