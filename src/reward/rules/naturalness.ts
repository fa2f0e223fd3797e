import { contentWords, normalizeUtterance, stem, words } from '../../language/index';
import { fail, pass, type Rule } from './reading';

/** Short, whole, colloquial sentences without stutter, and nothing that was said in the same words before. */
export const naturalness: Rule = ({ reply, sentences, earlier, bounds }) => {
  const said = words(reply);
  if (said.length === 0) return fail('says nothing');
  if (said.length > bounds.maxWords) return fail(`${said.length} words, more than ${bounds.maxWords}`);
  if (sentences.length > bounds.maxSentences) return fail(`${sentences.length} sentences, more than ${bounds.maxSentences}`);
  if (isList(reply)) return fail('is a list');
  if (/[<>{}[\]|#*_=\\]/.test(reply)) return fail('holds markup');
  if (!/[.!?…]["')]?$/.test(reply.trim())) return fail('does not end as a sentence does');
  const stutter = repeatedWords(said);
  if (stutter !== undefined) return fail(`repeats "${stutter}"`);
  const form = normalizeUtterance(reply);
  if (earlier.some((other) => normalizeUtterance(other) === form)) return fail('gives the same reply as earlier in this dialogue');
  return pass('is short, whole and without repetition');
};

function isList(reply: string): boolean {
  return /^\s*(?:[-•*]|\d+[.)])\s/m.test(reply) || (reply.match(/[,;]/g) ?? []).length >= 4;
}

/** A word three times in a row, three words in the same order twice, or a subject word three times. */
function repeatedWords(said: readonly string[]): string | undefined {
  const trigrams = new Set<string>();
  const counts = new Map<string, number>();
  for (let i = 0; i < said.length; i++) {
    const word = said[i]!;
    if (word === said[i + 1] && word === said[i + 2]) return word;
    if (i + 2 < said.length) {
      const trigram = said.slice(i, i + 3).join(' ');
      if (trigrams.has(trigram)) return trigram;
      trigrams.add(trigram);
    }
    const root = stem(word);
    counts.set(root, (counts.get(root) ?? 0) + 1);
  }
  for (const word of contentWords(said.join(' '))) if (counts.get(word)! >= 3) return word;
  return undefined;
}
