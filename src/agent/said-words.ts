import { normalizeText, type SlotDefinition, tellingSigns, valueText } from '../profile/index';
import { remember } from '../remember';
import { arePronouns, hasInnerCapital, isEmpty } from './empty-values';
import { foldText } from './folded-text';
import { slotNames } from './foreign-text';
import type { SpokenMessage } from './own-words';
import type { Evidence } from './user-record';

interface Place {
  readonly start: number;
  readonly end: number;
}

/** What of a value the user says. */
export interface SaidValue {
  /** Of an object, what of it the message says that says most of it, with what stands between. */
  readonly evidence: Evidence;
  /** Whether it is all of the value; of an object it may be some. */
  readonly isWhole: boolean;
}

/**
 * What of a value the user says in their own words. Of an object these are the values of its properties, whatever the properties are called. One
 * message has to say all of them: of those that are said here and there, nobody said that they belong together. `true` and `false` are never said:
 * "yes" does not tell which question it answers.
 *
 * @param messages the latest first
 */
export function findSaid(value: unknown, slot: SlotDefinition | undefined, messages: readonly SpokenMessage[]): SaidValue | undefined {
  if (typeof value === 'boolean') return undefined;
  if (typeof value !== 'object') {
    const text = valueText(value);
    const spelt = typeof value === 'string' ? messages.filter(({ own }) => areSignsIn(own, text)) : messages;
    const evidence = findText(text, slot, spelt);
    return evidence && { evidence, isWhole: true };
  }
  const parts = partsOf(value);
  let best: SaidValue | undefined;
  let most = 0;
  for (const message of messages) {
    const said = parts.flatMap((part) => findSaid(part, slot, [message])?.evidence ?? []);
    if (said.length <= most) continue;
    most = said.length;
    const place = { start: Math.min(...said.map(({ start }) => start)), end: Math.max(...said.map(({ end }) => end)) };
    best = { evidence: evidenceAt(message, place), isWhole: said.length === parts.length };
  }
  return best;
}

/** Where the user says all of a value: see {@link findSaid}. */
export function findValue(value: unknown, slot: SlotDefinition | undefined, messages: readonly SpokenMessage[]): Evidence | undefined {
  const said = findSaid(value, slot, messages);
  return said?.isWhole ? said.evidence : undefined;
}

/** What a value is made of that can be said: itself, or the values in an object, however deep. */
export function partsOf(value: unknown): readonly unknown[] {
  if (typeof value !== 'object') return [value];
  return Object.values(value ?? {}).flatMap((part) => (part === null || part === undefined || part === '' ? [] : partsOf(part)));
}

/** What people say of a value: of an object not the names of its properties. */
export function spokenText(value: unknown): string {
  return partsOf(value).map(valueText).join(' ');
}

/** Whether what tells the text from others is written in a message: 3.10 is not said by 3.1, nor a.smith@x.com by smith@x.com. */
function areSignsIn(own: string, text: string): boolean {
  const signs = tellingSigns(text);
  return signs.length === 0 || signs.every((sign) => signsOf(own).has(sign));
}

const signsOf = remember((text): ReadonlySet<string> => new Set(tellingSigns(text)));

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/**
 * Where the user says this text of the slot in their own words. Words that nearly every message holds must be written as a name ("I work in
 * IT") or a title in quotation marks, as pronouns ("she/her"), as a feeling ("I feel down"), or after the slot's name ("Pets: no").
 */
function findText(text: string, slot: SlotDefinition | undefined, messages: readonly SpokenMessage[]): Evidence | undefined {
  const isPronouns = arePronouns(text);
  if (!isPronouns && !isEmpty(text, slot)) return findWords(text, messages);
  for (const message of messages) {
    const { own } = message;
    const place = isPronouns
      ? findWriting(own, text, 'iu')
      : (isEmpty(text) && (findName(own, text) ?? findFeeling(own, text))) || findAnswer(own, text, slot);
    if (place) return evidenceAt(message, place);
  }
  return undefined;
}

/** Where the user writes these words in their own words, near each other and in any order; those of a script without spaces, as they are. */
export function findWords(text: string, messages: readonly SpokenMessage[]): Evidence | undefined {
  const wanted = new Set(normalizeText(text).split(' '));
  for (const message of messages) {
    const place = shortestSpan(wordsOf(message.own), wanted) ?? findUnspaced(message.own, text);
    if (place) return evidenceAt(message, place);
  }
  return undefined;
}

/** Letters of scripts that put no space between words: which of them are a word, only a dictionary knows. */
const unspaced = String.raw`[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}ー\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]`;
const anyUnspaced = new RegExp(unspaced, 'u');

/** Where the characters of a text with such letters stand, as a part of something longer as well. White space between them does not count. */
export function findUnspaced(own: string, text: string): Place | undefined {
  if (!anyUnspaced.test(text)) return undefined;
  const wanted = joined(text).characters;
  const { characters, places } = joined(own);
  const at = characters.indexOf(wanted);
  return at < 0 ? undefined : { start: places[at]!, end: places[at + wanted.length - 1]! + 1 };
}

/** A text in lower case and without white space, with the place of each UTF-16 code unit. */
const joined = remember((text) => {
  let characters = '';
  const places: number[] = [];
  for (const { 0: character, index } of text.matchAll(/\S/gu)) {
    const lower = character.toLowerCase(); // may be longer
    characters += lower;
    for (let i = 0; i < lower.length; i++) places.push(index + Math.min(i, character.length - 1));
  }
  return { characters, places };
});

interface Word extends Place {
  readonly normalized: string;
}

interface Words {
  readonly inOrder: readonly Word[];
  /** Where in that order a word is. */
  readonly indexes: ReadonlyMap<string, readonly number[]>;
}

/** A word with what is attached to it; in a script without spaces as much as stands together. */
const written = new RegExp(String.raw`${unspaced}+|[\p{L}\p{N}](?:(?!${unspaced})\S)*`, 'gu');

/** The words of a message as `normalizeText` writes them, each with its place. */
const wordsOf = remember((content): Words => {
  const inOrder: Word[] = [];
  for (const match of content.matchAll(written)) {
    const { length, normalized } = readWord(match[0]);
    for (const each of normalized) inOrder.push({ normalized: each, start: match.index, end: match.index + length });
  }
  const indexes = new Map<string, number[]>();
  for (const [index, { normalized }] of inOrder.entries()) {
    const before = indexes.get(normalized);
    if (before) before.push(index);
    else indexes.set(normalized, [index]);
  }
  return { inOrder, indexes };
});

const readWord = remember((word) => {
  const bare = word.replace(/(?![+#])[\p{P}\p{S}]+$/u, '');
  return { length: bare.length, normalized: normalizeText(bare).split(' ') };
});

/** The shortest stretch that holds all wanted words, if it is not much longer than they are. */
function shortestSpan({ inOrder, indexes }: Words, wanted: ReadonlySet<string>): Place | undefined {
  const longest = 2 * wanted.size + 2;
  const lastSeen = new Map<string, number>();
  let best: { first: number; last: number } | undefined;
  for (const last of [...wanted].flatMap((word) => indexes.get(word) ?? []).sort((a, b) => a - b)) {
    lastSeen.set(inOrder[last]!.normalized, last);
    if (lastSeen.size < wanted.size) continue;
    const first = Math.min(...lastSeen.values());
    if (last - first < longest && (!best || last - first < best.last - best.first)) best = { first, last };
  }
  return best && { start: inOrder[best.first]!.start, end: inOrder[best.last]!.end };
}

/** The words as they are written, not as a part of longer ones. */
function findWriting(own: string, text: string, flags: string, fits: (start: number) => boolean = () => true): Place | undefined {
  const pattern = new RegExp(String.raw`(?<![\p{L}\p{N}])${writing(text)}(?![\p{L}\p{N}])`, `g${flags}`);
  for (const { 0: found, index } of own.matchAll(pattern)) if (fits(index)) return { start: index, end: index + found.length };
  return undefined;
}

/** In quotation marks, or by capital letters that do not begin a sentence and are not how the user writes everything. */
function findName(own: string, text: string): Place | undefined {
  const isQuoted = (start: number) =>
    /["“”„«]$/.test(own.slice(Math.max(0, start - 1), start)) &&
    /^[.,!?]?["”“»]/.test(own.slice(start + text.trim().length, start + text.trim().length + 2));
  const quoted = findWriting(own, text, 'iu', isQuoted);
  if (quoted || !/\p{Lu}/u.test(text.replace(/\bI\b/g, '')) || !/\p{Ll}/u.test(own)) return quoted;
  const isWithin = (start: number) => /[^\s.!?…:;"“‘'([]\s+$/u.test(own.slice(Math.max(0, start - 8), start));
  return findWriting(own, text, 'u', (start) => hasInnerCapital(text) || isWithin(start));
}

/** "I feel down", "I've been feeling a bit off". */
function findFeeling(own: string, text: string): Place | undefined {
  if (!/^(?:down|off|out|over|up)$/i.test(text.trim())) return undefined;
  const feeling = /\b(?:feel|feels|feeling|felt)(?: (?:a|an|bit|little|really|very|pretty|so|quite|rather|too|just|kind of)){0,3}\s+$/i;
  return findWriting(own, text, 'iu', (start) => feeling.test(own.slice(Math.max(0, start - 48), start)));
}

/** "My pronouns are they", "Drinks: sometimes": after the slot's name, at the end of what is said, and no question. */
function findAnswer(own: string, text: string, slot: SlotDefinition | undefined): Place | undefined {
  if (!slot) return undefined;
  const folded = foldText(own);
  const value = writing(foldText(text).text);
  const pattern = String.raw`${slotNames(slot).source}["']?\s{0,3}(?:[:=–—-]|(?:is|are)\b)\s{0,3}["']?(${value})(?=["']?\s{0,3}(?:$|[.,;!)\n]))`;
  const answer = new RegExp(pattern, 'u').exec(folded.text);
  if (!answer) return undefined;
  const end = answer.index + answer[0].length;
  return { start: folded.placeOf(end - answer[1]!.length), end: folded.placeOf(end) };
}

function writing(text: string): string {
  return escaped(text.trim())
    .replace(/\s*\/\s*/g, '/')
    .replace(/\s+/g, String.raw`\s+`)
    .replaceAll('/', String.raw`\s?/\s?`);
}

function evidenceAt({ id, content }: SpokenMessage, { start, end }: Place): Evidence {
  return { messageId: id, start, end, text: content.slice(start, end) };
}
