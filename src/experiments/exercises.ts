import { formatTurn, type ProfileItem, type ProfileSchema } from '../profile/index';
import { Random } from '../random';
import { disclosingPhrases, type Persona } from '../simulation/index';
import type { SFTExample } from '../training/index';
import { notedProfile } from './noted-profile';
import { mentioning, subjectOf } from './plain-partner';

/**
 * Exercises in the form: users introduce themselves with some facts at once, half of them in two messages, and the answer writes down
 * what is known by then and takes up the last of it. They teach a new model what any pretrained one can do: that a line of the profile is
 * a slot's label and words of the user's, and that lines can be copied.
 */
export function exercises(options: {
  readonly schema: ProfileSchema;
  readonly instruction: string;
  readonly personas: readonly Persona[];
  readonly count: number;
  readonly seed: number;
}): SFTExample[] {
  const { schema, instruction, personas, count, seed } = options;
  return Array.from({ length: count }, (_, index) => {
    const random = new Random(seed).split('exercise', index);
    const items = random.shuffle(random.pick(personas).profile.items());
    const told = items.slice(0, 1 + random.integer(items.length));
    const earlier = random.chance(0.5) ? 0 : random.integer(told.length);
    const tells = (facts: readonly ProfileItem[]) => ({
      role: 'user' as const,
      content: facts.map((item) => random.pick(disclosingPhrases(item, random.chance(0.5) ? 'answer' : 'volunteer', schema))).join(' '),
    });
    const notesDown = (facts: readonly ProfileItem[]) => ({
      role: 'assistant' as const,
      content: formatTurn(notedProfile(schema, facts), mentioning(subjectOf(facts.at(-1)!), random)),
    });
    const before = told.slice(0, earlier);
    return {
      messages: [
        { role: 'system' as const, content: instruction },
        ...(before.length > 0 ? [tells(before), notesDown(before)] : []),
        tells(told.slice(earlier)),
        notesDown(told),
      ],
    };
  });
}
