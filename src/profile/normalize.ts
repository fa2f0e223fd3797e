const units =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen';
const tens = 'twenty thirty forty fifty sixty seventy eighty ninety';
const numbers = new Map<string, number>([
  ...units.split(' ').map((word, value) => [word, value] as const),
  ...tens.split(' ').map((word, index) => [word, 20 + 10 * index] as const),
]);
const articles = new Set(['a', 'an', 'the']);

/** Whether a word is one that a normalised text leaves out. */
export const isArticle = (word: string) => articles.has(word.toLowerCase());

const plainWords = /^[a-z0-9]+(?: [a-z0-9]+)*$/;
const rewritten = new RegExp(String.raw`\b(?:0\d+|${[...articles, ...numbers.keys()].join('|')})\b`);

/**
 * The form in which two wordings of one value are equal: compatibility characters, Latin accents, case, punctuation, articles,
 * white space and the writing of numbers (`1,000`, `29.0`, `twenty-nine`) are evened out. Word order and inflection are not.
 * `+` and `#` stay where they end a word, so that C, C++ and C# differ. A text of nothing but punctuation stays as it is.
 *
 * @example
 * import { normalizeText } from 'rlpa';
 * normalizeText('The  Café—Owner!'); // 'cafe owner'
 */
export function normalizeText(text: string): string {
  const lower = foldCharacters(text);
  // Most values are plain words already: to see that takes a tenth of the time.
  if (plainWords.test(lower) && !rewritten.test(lower)) return lower;
  const tokens = lower
    .replace(/['’‘`]/g, '')
    .replace(/(?<=\d),(?=\d{3}(?!\d))/g, '')
    .match(/(?<![\p{L}\p{N}\p{M}.])-?\d+(?:\.\d+)?[+#]*(?![\p{L}\p{N}\p{M}])|[\p{L}\p{N}\p{M}]+[+#]*|\p{So}/gu);
  const words: string[] = [];
  let ten = 0; // 20 … 90 while the last word was one of "twenty" … "ninety"
  for (const token of tokens ?? []) {
    if (articles.has(token)) continue;
    const spelled = numbers.get(token);
    if (ten > 0 && spelled !== undefined && spelled > 0 && spelled < 10) words[words.length - 1] = String(ten + spelled);
    else words.push(spelled !== undefined ? String(spelled) : plainNumber(token));
    ten = spelled !== undefined && spelled >= 20 ? spelled : 0;
  }
  return words.length > 0 ? words.join(' ') : lower.trim().replace(/\s+/g, ' ');
}

/** Lower case without compatibility variants and Latin accents; the marks of other scripts are letters there, and stay. */
export function foldCharacters(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase();
  return text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .normalize('NFC')
    .toLowerCase();
}

/** 29.0 and 029 are 29; digits beyond what a double holds are left as they are. */
function plainNumber(token: string): string {
  if (!/^-?\d+(?:\.\d+)?$/.test(token) || token.length > 15) return token;
  return String(Number(token));
}
