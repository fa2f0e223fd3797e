import type { ProfileItem, SlotDefinition } from '../profile/index';
import type { SpokenMessage } from './own-words';
import { findValue, findWords } from './said-words';
import type { Provenance } from './user-record';

/** Confidence of a conclusion that rests on words of the user which the model quoted, and of one that rests on nothing we can see. */
const quotedConfidence = 0.7;
const unsupportedConfidence = 0.4;

/**
 * What speaks for a value. It is `stated` if all its words stand close together in a message of the user (`findValue`); `inferred`
 * otherwise, with the model's quote as evidence where the user did write that.
 *
 * @param messages the user's messages, the latest first
 * @param quote the words that the model says it went by
 */
export function findProvenance(
  item: ProfileItem,
  slot: SlotDefinition | undefined,
  messages: readonly SpokenMessage[],
  quote?: string,
): Provenance {
  // "yes" in a message says nothing of which question it answers.
  const stated = typeof item.value === 'boolean' ? undefined : findValue(item.text, slot, messages);
  if (stated) return { source: 'stated', confidence: 1, evidence: stated };
  const quoted = quote ? findWords(quote, messages) : undefined;
  if (quoted) return { source: 'inferred', confidence: quotedConfidence, evidence: quoted };
  return { source: 'inferred', confidence: unsupportedConfidence };
}
