import { remember } from '../remember';

/** A text in the spelling that patterns read, with the place in the original of each of its characters. */
export interface FoldedText {
  readonly text: string;
  /** Where in the original the character `text[at]` comes from; the original's length for the end. */
  placeOf(at: number): number;
}

/** Cyrillic and Greek letters that look like Latin ones: the common part of Unicode's confusables (UTS #39). */
const lookAlikes = new Map(
  [
    ['a', 'аα'],
    ['b', 'ьв'],
    ['c', 'сϲ'],
    ['d', 'ԁ'],
    ['e', 'еєε'],
    ['f', 'ғ'],
    ['g', 'ɡ'],
    ['h', 'һн'],
    ['i', 'іιı'],
    ['j', 'јϳ'],
    ['k', 'кκ'],
    ['l', 'ӏ'],
    ['m', 'м'],
    ['n', 'пη'],
    ['o', 'оοσ'],
    ['p', 'рρ'],
    ['q', 'ԛ'],
    ['r', 'гɾ'],
    ['s', 'ѕ'],
    ['t', 'тτ'],
    ['u', 'υ'],
    ['v', 'ѵν'],
    ['w', 'ԝω'],
    ['x', 'хχ'],
    ['y', 'уүγ'],
    ['z', 'ᴢ'],
  ].flatMap(([latin, others]) => [...others!].map((other) => [other, latin!] as const)),
);

const invisible = /[\p{Default_Ignorable_Code_Point}\p{Cf}]/u;

/**
 * Lower case, compatibility characters and accents evened out, look-alikes and digits within words read as the letters that they look
 * like, invisible characters left out, every line break `\n`.
 */
export const foldText: (original: string) => FoldedText = remember((original) => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  if (/^[\x00-\x7f]*$/.test(original)) {
    return { text: lettersOfDigits(original.toLowerCase().replace(/[\r\v\f]/g, '\n')), placeOf: (at) => at };
  }
  let text = '';
  const places: number[] = [];
  let place = 0;
  for (const character of original) {
    const plain = foldCharacter(character);
    text += plain;
    for (let i = 0; i < plain.length; i++) places.push(place);
    place += character.length;
  }
  return { text: lettersOfDigits(text), placeOf: (at) => places[at] ?? original.length };
});

const foldCharacter = remember((character) => {
  if (invisible.test(character)) return '';
  if (/[\r\v\f\u0085\u2028\u2029]/.test(character)) return '\n';
  const plain = character.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return lookAlikes.get(plain) ?? plain;
});

const digits: Readonly<Record<string, string>> = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't', '@': 'a', $: 's' };

/** "0ccup4ti0n" as it is read; as long as before. */
function lettersOfDigits(text: string): string {
  if (!/[a-z][013457@$]|[013457@$][a-z]/.test(text)) return text;
  return text.replace(/(?=[a-z0-9@$]*[a-z])[a-z0-9@$]+/g, (word) => word.replace(/[013457@$]/g, (digit) => digits[digit]!));
}
