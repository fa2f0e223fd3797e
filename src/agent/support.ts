import { shareContent } from '../language/index';
import { normalizeText, type ProfileSchema, profileItem, type RejectedValue, type SlotDefinition, valueText } from '../profile/index';
import { findWords } from './evidence';
import type { SpokenMessage } from './own-words';
import type { ProposedChange } from './structured-answer';

export interface ScreenedProposals {
  readonly supported: readonly ProposedChange[];
  readonly refused: readonly RejectedValue[];
}

const reason = 'what speaks for it is not in the words of the user but in an instruction, a forged frame or quoted text';

/**
 * Lets through what the user's own words may support. Where all that the user sent is the user speaking, that is everything: what has no
 * evidence is recorded as inferred. A message that also holds foreign text changes only what the user's own words speak for:
 *
 * - A value that stands in the foreign text, or a slot that it is about, needs the value *and* the slot's subject in the user's own words.
 * - Any other value needs its words, or a quote that is about the slot, in the user's own words.
 *
 * Foreign text of earlier messages, which the model reads again, keeps its values out, and asks for evidence in the slots that it is
 * about. A value that an answer in the text form merely leaves out is removed only if the user speaks of it now.
 *
 * @param messages the latest first
 */
export function screenProposals(
  schema: ProfileSchema,
  proposals: readonly ProposedChange[],
  messages: readonly SpokenMessage[],
): ScreenedProposals {
  const supported: ProposedChange[] = [];
  const refused: RejectedValue[] = [];
  const isMixed = proposals.length > 0 && messages.some((message) => message.isMixed);
  for (const proposal of proposals) {
    const slot = schema.slotByLabel(proposal.slot);
    if (!slot || !(isMixed || proposal.isOmission)) {
      supported.push(proposal);
    } else if (proposal.op === 'remove') {
      if (mayRemove(slot, proposal, messages)) supported.push(proposal);
      else if (!proposal.isOmission) refused.push({ slot: slot.key, value: proposal.value, reason });
    } else {
      const values = slot.cardinality === 'many' && Array.isArray(proposal.value) ? proposal.value : [proposal.value];
      for (const value of values) {
        // "set" with a list would remove what the list leaves out.
        if (isSupported(slot, value, proposal.quote, messages))
          supported.push({ ...proposal, op: slot.cardinality === 'many' ? 'add' : 'set', value });
        else refused.push({ slot: slot.key, value, reason });
      }
    }
  }
  return { supported, refused };
}

function mayRemove(slot: SlotDefinition, { value, isOmission }: ProposedChange, messages: readonly SpokenMessage[]): boolean {
  const [latest] = messages;
  if (!latest) return false;
  if (value !== undefined && shareContent(latest.own, valueText(value))) return true;
  if (isOmission) return slot.cardinality === 'one' && latest.ownSpeaksOf(slot);
  if (latest.ownSpeaksOf(slot)) return true;
  return !latest.isMixed && !messages.some((message) => message.foreignSpeaksOf(slot) || message.foreignSpeaksOfAll);
}

function isSupported(slot: SlotDefinition, value: unknown, quote: string | undefined, messages: readonly SpokenMessage[]): boolean {
  const { text } = profileItem(slot.key, value);
  const source = typeof value === 'boolean' ? messages.find((message) => message.ownSpeaksOf(slot)) : saidIn(text, messages);
  const [latest] = messages;
  if (!latest) return false;
  const isAimedAt = latest.foreignSpeaksOf(slot) || latest.foreignSpeaksOfAll;
  if (isAimedAt || messages.some((message) => message.isMixed && holds(message.foreign, text))) return source?.ownSpeaksOf(slot) ?? false;
  if (source || !(latest.isMixed || messages.some((message) => message.foreignSpeaksOf(slot)))) return true;
  return (quote !== undefined && saidIn(quote, messages)?.ownSpeaksOf(slot)) ?? false;
}

/** The latest message in which the user says this in their own words. */
function saidIn(text: string, messages: readonly SpokenMessage[]): SpokenMessage | undefined {
  const id = findWords(text, messages)?.messageId;
  return messages.find((message) => message.id === id);
}

/** Whether all words of the value stand in the text, wherever. */
function holds(text: string, value: string): boolean {
  const found = new Set(normalizeText(text).split(' '));
  return normalizeText(value)
    .split(' ')
    .every((word) => found.has(word));
}
