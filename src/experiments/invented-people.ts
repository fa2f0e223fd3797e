import { words } from '../language/index';
import type { ProfileSchema } from '../profile/index';
import { Random } from '../random';
import type { Persona } from '../simulation/index';

const mostFacts = 3;
/** A fact of so many words is said as it stands. */
const wordsOfAFact = { least: 4, most: 8 };

/**
 * People of whom up to three sentences of random words are true, the words taken from recorded people. Real sentences are learnt by heart
 * long before a new model finds out that it could copy them from the message instead; of these nothing can be learnt but to copy.
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
  const vocabulary = [
    ...new Set(wordsOf.flatMap(({ profile, messages = [] }) => [...profile.items().map(({ text }) => text), ...messages].flatMap(words))),
  ];
  const { least, most } = wordsOfAFact;
  return Array.from({ length: count }, (_, index) => {
    const random = new Random(seed).split('invented', index);
    const facts = Array.from({ length: 1 + random.integer(mostFacts) }, () => {
      const text = random.sample(vocabulary, least + random.integer(most - least + 1)).join(' ');
      return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
    });
    return { id: `invented-${index}`, profile: schema.safeProfile({ [slot]: facts }).profile };
  });
}
