import { words } from '../language/index';
import type { ProfileSchema } from '../profile/index';
import { Random } from '../random';
import type { Persona } from '../simulation/index';

const mostFacts = 4;
/** A fact of so many words is said as it stands. */
const wordsOfAFact = { least: 4, most: 8 };
/** Half of the facts begin with so many words of a real one: what is copied has to be told from what begins like it. */
const wordsOfAnOpening = 3;

/**
 * People of whom some sentences of random words are true, the words taken from recorded people. Real sentences are learnt by heart long
 * before a new model finds out that it could copy them from the message instead; of these nothing can be learnt but to copy.
 *
 * @param slot the schema's slot for free-form facts
 */
export function inventPeople(options: {
  readonly schema: ProfileSchema;
  readonly slot: string;
  readonly wordsOf: readonly Persona[];
  readonly count: number;
  readonly seed: number;
}): Persona[] {
  const { schema, slot, wordsOf, count, seed } = options;
  const facts = wordsOf.flatMap(({ profile }) => profile.items().map(({ text }) => text));
  const vocabulary = [...new Set([...facts, ...wordsOf.flatMap(({ messages = [] }) => messages)].flatMap(words))];
  return Array.from({ length: count }, (_, index) => {
    const random = new Random(seed).split('invented', index);
    const invented = Array.from({ length: 1 + random.integer(mostFacts) }, () => inventFact(random, facts, vocabulary));
    return { id: `invented-${index}`, profile: schema.safeProfile({ [slot]: invented }).profile };
  });
}

function inventFact(random: Random, facts: readonly string[], vocabulary: readonly string[]): string {
  const { least, most } = wordsOfAFact;
  const opening = random.chance(0.5)
    ? random
        .pick(facts)
        .split(' ')
        .slice(0, 1 + random.integer(wordsOfAnOpening))
    : [];
  const text = [...opening, ...random.sample(vocabulary, least + random.integer(most - least + 1))].join(' ');
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}
