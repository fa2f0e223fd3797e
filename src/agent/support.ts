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
 * The same holds as long as the model reads the message among the earlier ones. A value that an answer in the text form merely leaves
 * out is removed only if the user speaks of it now.
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
        // What the slot does not take is refused with its own reason later.
        if (!schema.read(slot.key, value).ok) supported.push({ ...proposal, value });
        else if (isSupported(slot, value, proposal.quote, messages))
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
  return !messages.some((message) => message.isMixed);
}

function isSupported(slot: SlotDefinition, value: unknown, quote: string | undefined, messages: readonly SpokenMessage[]): boolean {
  const { text } = profileItem(slot.key, value);
  const isSaid = (message: SpokenMessage) => typeof value === 'boolean' || findWords(text, [message]) !== undefined;
  const isWanted = (message: SpokenMessage) =>
    message.isMixed && (message.foreignSpeaksOf(slot) || message.foreignSpeaksOfAll || holds(message.foreign, text));
  if (messages.some(isWanted) || typeof value === 'boolean') {
    return messages.some((message) => isSaid(message) && message.ownSpeaksOf(slot));
  }
  if (messages.some(isSaid)) return true;
  return quote !== undefined && messages.some((message) => findWords(quote, [message]) !== undefined && message.ownSpeaksOf(slot));
}

/** Whether all words of the value stand in the text, wherever. */
function holds(text: string, value: string): boolean {
  const found = new Set(normalizeText(text).split(' '));
  return normalizeText(value)
    .split(' ')
    .every((word) => found.has(word));
}
