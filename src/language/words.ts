import { functionWords } from '../profile/index';
import { remember } from '../remember';

/** Words that carry no subject of their own: grammar, and the small change of conversation. */
const stopwords = new Set([
  ...functionWords,
  ...`u ur no nor not only once again never ever maybe perhaps im ive dont cant thats whats let let's lets please
  don't doesn't didn't isn't aren't wasn't can't won't
  yes yeah yep nope ok okay oh ah hmm wow hey hi hello bye thanks thank well right sure
  get got getting go goes going went gone know think thought say said tell told see want make makes made take keep
  thing things stuff something anything nothing everything someone anyone bit kind sort way much many little
  good great nice cool fun fine bad awesome wonderful lovely interesting`.split(/\s+/),
]);

/** One spelling for what is typed in several: lower case, straight apostrophes, no accents. */
function plain(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[\u2018\u2019\u02bc]/g, "'")
    .toLowerCase();
}

/** The words of a text in order: lower case, letters, digits and inner apostrophes. */
export const words: (text: string) => readonly string[] = remember((text) => {
  return plain(text).match(/[\p{L}\p{N}]+(?:'[\p{L}]+)*/gu) ?? [];
});

/** The words joined by single blanks: equal for texts that differ in case, punctuation and spacing only. */
export function normalizeUtterance(text: string): string {
  return words(text).join(' ');
}

/** The sentences of a text, each with its closing punctuation. A line break ends a sentence as well. */
export const sentences: (text: string) => readonly string[] = remember((text) => {
  const parts = text.split(/\n+|(?<=[.!?…]["')]?)(?<!\b(?:Dr|Mr|Mrs|Ms|St|vs|e\.g|i\.e|a\.m|p\.m)\.)\s+/);
  const found: string[] = [];
  for (const part of parts.map((each) => each.trim())) {
    if (part === '') continue;
    // Recorded chats put a blank before the punctuation: "how are you ?"
    if (words(part).length === 0 && found.length > 0) found[found.length - 1] += part;
    else found.push(part);
  }
  return found;
});

/**
 * Strips the endings of English plurals and verb forms, so that "hiking" and "hikes" meet. What is left is a key, not a word.
 */
export function stem(word: string): string {
  let root = word.replace(/'.*$/, '');
  if (root.length <= 3) return root;
  if (/(?:ies|ied)$/.test(root)) return root.slice(0, -2);
  if (/(?:ss|x|z|ch|sh)es$/.test(root)) root = root.slice(0, -2);
  else if (/[^su]s$/.test(root) && !root.endsWith('is')) root = root.slice(0, -1);
  const verb = /^(.*[aeiouy].*)(?:ing|ed)$/.exec(root)?.[1];
  if (verb !== undefined && verb.length >= 3) root = verb.replace(/([^aeiouylsz])\1$/, '$1');
  if (root.length > 3 && root.endsWith('e')) root = root.slice(0, -1);
  return root.replace(/([^aeiou])y$/, '$1i');
}

/** The different stems of the words that carry a subject. */
export const contentWords: (text: string) => ReadonlySet<string> = remember((text) => {
  const found = new Set<string>();
  for (const word of words(text)) if (!stopwords.has(word) && (word.length > 1 || /\d/.test(word))) found.add(stem(word));
  return found;
});

/** Whether two texts have a subject word in common. */
export function shareContent(a: string, b: string): boolean {
  const other = contentWords(b);
  for (const word of contentWords(a)) if (other.has(word)) return true;
  return false;
}
