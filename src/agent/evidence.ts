import { normalizeText, type ProfileItem } from '../profile/index';
import type { SpokenMessage } from './own-words';
import type { Evidence, Provenance } from './user-record';

/** Confidence of a conclusion that rests on words of the user which the model quoted, and of one that rests on nothing we can see. */
const quotedConfidence = 0.7;
const unsupportedConfidence = 0.4;

/**
 * What speaks for a value. It is `stated` if all its words stand close together in a message of the user; `inferred` otherwise, with
 * the model's quote as evidence where the user did write that.
 *
 * @param messages the user's messages, the latest first
 * @param quote the words that the model says it went by
 */
export function findProvenance(item: ProfileItem, messages: readonly SpokenMessage[], quote?: string): Provenance {
  // "yes" in a message says nothing of which question it answers.
  const stated = typeof item.value === 'boolean' ? undefined : findWords(item.text, messages);
  if (stated) return { source: 'stated', confidence: 1, evidence: stated };
  const quoted = quote ? findWords(quote, messages) : undefined;
  if (quoted) return { source: 'inferred', confidence: quotedConfidence, evidence: quoted };
  return { source: 'inferred', confidence: unsupportedConfidence };
}

/** Where the user says this in their own words. */
export function findWords(text: string, messages: readonly SpokenMessage[]): Evidence | undefined {
  const wanted = new Set(normalizeText(text).split(' '));
  for (const message of messages) {
    const span = shortestSpan(wordsOf(message.own), wanted);
    if (span) return { messageId: message.id, ...span, text: message.content.slice(span.start, span.end) };
  }
  return undefined;
}

interface Word {
  readonly normalized: string;
  readonly start: number;
  readonly end: number;
}

/** The words of a message as `normalizeText` writes them, each with its place. */
function wordsOf(content: string): Word[] {
  const words: Word[] = [];
  for (const match of content.matchAll(/[\p{L}\p{N}][^\s]*/gu)) {
    const bare = match[0].replace(/(?![+#])[\p{P}\p{S}]+$/u, '');
    for (const normalized of normalizeText(bare).split(' ')) words.push({ normalized, start: match.index, end: match.index + bare.length });
  }
  return words;
}

/** The shortest stretch that holds all wanted words, if it is not much longer than they are. */
function shortestSpan(words: readonly Word[], wanted: ReadonlySet<string>): { start: number; end: number } | undefined {
  const longest = 2 * wanted.size + 2;
  const lastSeen = new Map<string, number>();
  let best: { first: number; last: number } | undefined;
  for (const [last, { normalized }] of words.entries()) {
    if (!wanted.has(normalized)) continue;
    lastSeen.set(normalized, last);
    if (lastSeen.size < wanted.size) continue;
    const first = Math.min(...lastSeen.values());
    if (last - first < longest && (!best || last - first < best.last - best.first)) best = { first, last };
  }
  return best && { start: words[best.first]!.start, end: words[best.last]!.end };
}
