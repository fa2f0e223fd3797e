import { statements, words } from '../language/index';
import { functionWords } from '../profile/index';

/** A word as it is written. */
export const wordPattern = /[\p{L}\p{N}]+(?:['’][\p{L}]+)*/gu;

const firstPerson = new Set(['i', "i'm", 'im', "i've", 'ive', "i'd", "i'll", 'me', 'my', 'mine', 'myself']);
const grammar = new Set(functionWords);

/** Most words of a note. */
const wordsOfANote = 5;
/** A statement of fewer words says nothing about anybody. */
const wordsOfAStatement = 3;

/**
 * What could be written down of a message: of each statement in which people speak of themselves a few words in a row, in their own
 * spelling, from the first word after "I" or "my" that tells something. Of "Oh, nice. I live in a small
 * town with my parents!" it is "live in a small town".
 */
export function notesOn(message: string): string[] {
  return statements(message).flatMap((statement) => {
    const spoken = spokenWords(statement);
    if (spoken.length < wordsOfAStatement) return [];
    const self = spoken.findIndex(({ word }) => firstPerson.has(word));
    if (self < 0) return [];
    return excerpt(statement, spoken.slice(self + 1)) ?? excerpt(statement, spoken) ?? [];
  });
}

/** A word that is not grammar: it says something by itself. */
export function isTelling(word: string): boolean {
  return !grammar.has(word);
}

interface SpokenWord {
  /** In lower case, with a straight apostrophe. */
  readonly word: string;
  readonly from: number;
  readonly to: number;
}

function spokenWords(text: string): SpokenWord[] {
  return [...text.matchAll(wordPattern)].map(({ 0: written, index }) => ({
    word: words(written)[0] ?? written.toLowerCase(),
    from: index,
    to: index + written.length,
  }));
}

function excerpt(statement: string, spoken: readonly SpokenWord[]): string | undefined {
  const first = spoken.findIndex(({ word }) => isTelling(word));
  if (first < 0) return undefined;
  const taken = spoken.slice(first, first + wordsOfANote);
  const last = taken.findLast(({ word }) => isTelling(word))!;
  return statement.slice(taken[0]!.from, last.to);
}
