import { shareContent } from '../language/index';
import {
  normalizedText,
  normalizeText,
  type Profile,
  type RejectedValue,
  type SlotDefinition,
  type SlotMap,
  slotItem,
  valueText,
} from '../profile/index';
import { remember } from '../remember';
import { isEmpty, isListed, isUnreadable, saysNothing } from './empty-values';
import type { SpokenMessage } from './own-words';
import { findUnspaced, findValue, findWords, partsOf, spokenText } from './said-words';
import type { ProposedChange } from './structured-answer';

export interface ScreenedProposals {
  readonly supported: readonly ProposedChange[];
  readonly refused: readonly RejectedValue[];
}

const guessed = 'the user stated another value, and nothing in their words speaks for this one';
const unreadable = 'there is nothing to read in it';
const reason = 'what speaks for it is not in the words of the user but in an instruction, a forged frame or quoted text';

/**
 * Lets through what the user's own words may support. Where all that the user sent is the user speaking, that is nearly everything: what has
 * no evidence is recorded as inferred, but a guess does not take the place of what the user stated. A message that also holds foreign text changes only what the user's own words speak for:
 *
 * - A value that stands in the foreign text or in another slot, and a slot that the foreign text is about, need the value *and* the
 *   slot's subject in a message in the user's own words.
 * - Any other value needs its words in a message that is about the slot, or in the latest one if that is about no other, or a quote that
 *   is about the slot.
 * - A value of words that say nothing by occurring ("in") needs to be said as a value; one that the schema lists, the slot's subject as well.
 *
 * The same holds as long as the model reads the message among the earlier ones. A value that an answer in the text form merely leaves
 * out is removed only if the user says now that something of the kind has ended.
 *
 * @param messages the latest first
 * @param isStated whether the slot's value is the user's own word
 */
export function screenProposals<S extends SlotMap>(
  before: Profile<S>,
  proposals: readonly ProposedChange[],
  messages: readonly SpokenMessage[],
  isStated: (slot: SlotDefinition) => boolean,
): ScreenedProposals {
  const supported: ProposedChange[] = [];
  const refused: RejectedValue[] = [];
  const refuse = (slot: SlotDefinition, value: unknown, because: string) => refused.push({ slot: slot.key, value, reason: because });
  const isMixed = proposals.length > 0 && messages.some((message) => message.isMixed);
  for (const proposed of proposals) {
    const slot = before.schema.slotByLabel(proposed.slot);
    const proposal = slot ? readablePart(slot, proposed, (value) => refuse(slot, value, unreadable)) : proposed;
    if (!proposal) continue;
    if (slot?.cardinality === 'one' && isStated(slot) && isGuess(before, slot, proposal, messages)) {
      refuse(slot, proposal.value, guessed);
    } else if (!slot || !(isMixed || proposal.isOmission)) {
      supported.push(proposal);
    } else if (proposal.op === 'remove') {
      const [held] = before.itemsOf(slot.key); // what goes where none is named
      if (mayRemove(slot, { ...proposal, value: proposal.value ?? held?.value }, messages)) supported.push(proposal);
      else if (!proposal.isOmission) refuse(slot, proposal.value, reason);
    } else {
      const values = slot.cardinality === 'many' && Array.isArray(proposal.value) ? proposal.value : [proposal.value];
      for (const value of values) {
        // What the slot does not take is refused with its own reason later.
        const isTaken = before.schema.read(slot.key, value).ok;
        if (!isTaken || isSupported(before, slot, value, proposal.quote, messages)) supported.push({ ...proposal, value });
        else refuse(slot, value, reason);
      }
    }
  }
  return { supported, refused };
}

/** A proposal without the values that nobody could read; nothing, if it had no others. */
function readablePart(slot: SlotDefinition, proposal: ProposedChange, refuse: (value: unknown) => void): ProposedChange | undefined {
  const { op, value } = proposal;
  if (op === 'remove') return proposal;
  const values = Array.isArray(value) ? value : [value];
  const readable = values.filter((each) => !isUnreadable(slot, each));
  if (readable.length === values.length) return proposal;
  for (const each of values) if (isUnreadable(slot, each)) refuse(each);
  return readable.length > 0 ? { ...proposal, value: readable } : undefined;
}

/** A new value for a slot that the user does not speak of, in words that the user did not use. */
function isGuess(before: Profile, slot: SlotDefinition, { op, value, quote }: ProposedChange, messages: readonly SpokenMessage[]): boolean {
  const [latest] = messages;
  if (!latest || op === 'remove') return false;
  const reading = before.schema.read(slot.key, value);
  if (!reading.ok) return false; // that is why it is refused
  const { key } = slotItem(slot, reading.value);
  if (before.itemsOf(slot.key).some((item) => item.key === key)) return false;
  if (findValue(value, slot, messages)) return false;
  if (saysNothing(slot, value)) return true;
  const isQuoted = quote !== undefined && !isEmpty(quote) && findWords(quote, messages) !== undefined;
  return !isQuoted && !latest.ownSpeaksOf(slot) && !shareContent(latest.own, spokenText(value));
}

function mayRemove(slot: SlotDefinition, { value, isOmission }: ProposedChange, messages: readonly SpokenMessage[]): boolean {
  const [latest] = messages;
  if (!latest) return false;
  if (isOmission) {
    const isNamed = value !== undefined && findValue(value, slot, [latest]) !== undefined;
    return tellsOfAnEnd(latest.own) && (isNamed || (slot.cardinality === 'one' && latest.ownSpeaksOf(slot)));
  }
  if (latest.ownSpeaksOf(slot) || (value !== undefined && shareContent(latest.own, spokenText(value)))) return true;
  return !messages.some((message) => message.isMixed);
}

/** What people say when something does not hold any longer. */
const ending =
  /\b(?:no|not|never|stop(?:ped)?|quit|g[ai]ven? up|left|lost|sold|end(?:ed)?|over|broke up|divorced|retired|used to|former(?:ly)?|ex|any ?more|instead|without|hated?|dropped|moved|forget)\b|n['’]t\b/i;

const tellsOfAnEnd = remember((text) => ending.test(text));

function isSupported(
  before: Profile,
  slot: SlotDefinition,
  value: unknown,
  quote: string | undefined,
  messages: readonly SpokenMessage[],
): boolean {
  const text = spokenText(value);
  // Which question "yes" answers, and what "in" is about, a word does not say.
  const isChoice = typeof value === 'boolean' || (isEmpty(text, slot) && isListed(slot, value));
  const isSaid = (message: SpokenMessage) =>
    typeof value === 'boolean' || (isChoice ? findWords(text, [message]) : findValue(value, slot, [message])) !== undefined;
  const parts = partsOf(value).map(valueText);
  const isWanted = (message: SpokenMessage) =>
    message.isMixed && (message.foreignSpeaksOf(slot) || message.foreignSpeaksOfAll || parts.some((part) => holds(message.foreign, part)));
  const normalized = new Set(parts.map(normalizeText));
  const others = Object.values<SlotDefinition>(before.schema.slots).filter(({ key }) => key !== slot.key);
  const isKnownElsewhere = others.some(({ key }) => before.itemsOf(key).some((item) => normalized.has(normalizedText(item))));
  if (messages.some(isWanted) || isKnownElsewhere || isChoice) {
    return messages.some((message) => isSaid(message) && message.ownSpeaksOf(slot));
  }
  const isOfOthers = (message: SpokenMessage) => others.some((other) => message.ownSpeaksOf(other));
  // What an earlier message told was to be learnt then: that it is brought up now is no reason to take it for something else.
  const isOpenTo = (message: SpokenMessage) => message.ownSpeaksOf(slot) || (message === messages[0] && !isOfOthers(message));
  if (messages.some((message) => isSaid(message) && isOpenTo(message))) return true;
  if (quote === undefined || isEmpty(quote) || saysNothing(slot, value)) return false;
  return messages.some((message) => findWords(quote, [message]) !== undefined && message.ownSpeaksOf(slot));
}

/** Whether all words of the value stand in the text, wherever. */
function holds(text: string, value: string): boolean {
  const found = normalizedWords(text);
  const words = normalizeText(value).split(' ');
  return words.every((word) => found.has(word)) || findUnspaced(text, value) !== undefined;
}

const normalizedWords = remember((text): ReadonlySet<string> => new Set(normalizeText(text).split(' ')));
