import type { ProfileItem, SlotDefinition } from '../profile/index';
import type { SpokenMessage } from './own-words';
import { findSaid, findWords } from './said-words';
import type { Provenance } from './user-record';

/** Confidence of a conclusion that rests on words of the user, and of one that rests on nothing we can see. */
const supportedConfidence = 0.7;
const unsupportedConfidence = 0.4;

/**
 * What speaks for a value. It is `stated` if the user says all of it (`findSaid`): all words of a text, close together in one message; each value
 * in an object, in one message too. Else it is `inferred`: with the model's quote as evidence where the user did write that, or with what of an object the user says.
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
  const said = findSaid(item.value, slot, messages);
  if (said?.isWhole) return { source: 'stated', confidence: 1, evidence: said.evidence };
  const evidence = (quote ? findWords(quote, messages) : undefined) ?? said?.evidence;
  if (evidence) return { source: 'inferred', confidence: supportedConfidence, evidence };
  return { source: 'inferred', confidence: unsupportedConfidence };
}
