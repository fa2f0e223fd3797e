import { sentences, words } from '../language/index';
import { Random } from '../random';
import { isTelling, notesOn, wordPattern } from './notes';

const mostTurns = 8;
const sentencesOfAMessage = 3;
/** Share of sentences in which people speak of themselves. */
const personalShare = 0.7;
const wordsOfAPlainSentence = { least: 2, most: 5 };
/** Occurrences of a common word. */
const commonEnough = 4;

/**
 * What people say in whose mouths every telling word was replaced by any other: the grammar of real messages, with facts that nobody ever
 * stated. Real facts are learnt by heart long before a new model finds out that it could copy them from the message instead; of these
 * nothing can be learnt but to copy.
 *
 * @param options.form `words`: nothing but such words after an "I", for the very first lessons
 * @param options.vocabulary `common`: words that are common enough to be one token mostly. Rarer ones come in pieces, each of which also
 * stands in other words, and are copied more easily once common ones are.
 * @returns for each of `count` speakers their messages
 */
export function inventTalk(options: {
  readonly messages: readonly string[];
  readonly form: 'words' | 'sentences';
  readonly vocabulary: 'common' | 'all';
  readonly count: number;
  readonly seed: number;
}): string[][] {
  const { messages, form, count, seed } = options;
  const vocabulary = tellingWords(messages, options.vocabulary === 'common' ? commonEnough : 1);
  const all = [...new Set(messages.flatMap(sentences))];
  const personal = all.filter((sentence) => notesOn(sentence).length > 0);
  const sentence = (random: Random): string => {
    if (form === 'words') return plainSentence(vocabulary, random);
    return reworded(random.pick(random.chance(personalShare) && personal.length > 0 ? personal : all), vocabulary, random);
  };
  return Array.from({ length: count }, (_, index) => {
    const random = new Random(seed).split('invented', form, index);
    return Array.from({ length: 1 + random.integer(mostTurns) }, () =>
      Array.from({ length: 1 + random.integer(sentencesOfAMessage) }, () => sentence(random)).join(' '),
    );
  });
}

function tellingWords(messages: readonly string[], least: number): string[] {
  const frequency = new Map<string, number>();
  for (const word of messages.flatMap(words)) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const telling = [...frequency].filter(([word]) => isTelling(word));
  const chosen = telling.filter(([, count]) => count >= least);
  return (chosen.length > 0 ? chosen : telling).map(([word]) => word);
}

function plainSentence(vocabulary: readonly string[], random: Random): string {
  const { least, most } = wordsOfAPlainSentence;
  const said = Array.from({ length: least + random.integer(most - least + 1) }, () => random.pick(vocabulary));
  return `I ${said.join(' ')}.`;
}

function reworded(sentence: string, vocabulary: readonly string[], random: Random): string {
  return sentence.replace(wordPattern, (written) => {
    const [word = ''] = words(written);
    if (!isTelling(word)) return written;
    const other = random.pick(vocabulary);
    return written[0] === written[0]!.toLowerCase() ? other : `${other[0]!.toUpperCase()}${other.slice(1)}`;
  });
}
