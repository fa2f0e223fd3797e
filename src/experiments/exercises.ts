import { formatTurn, type ProfileSchema, type SlotDefinition } from '../profile/index';
import { Random } from '../random';
import { disclosingPhrases, type Persona } from '../simulation/index';
import type { SFTExample } from '../training/index';
import { mentioning } from './plain-partner';

/**
 * Exercises in the form, one message long: a user tells one fact, and the answer writes it down and names it. They teach a new model what
 * any pretrained one can do: that a line of the profile is a slot's label and words of the user's.
 */
export function exercises(options: {
  readonly schema: ProfileSchema;
  readonly instruction: string;
  readonly personas: readonly Persona[];
  readonly count: number;
  readonly seed: number;
}): SFTExample[] {
  const { schema, instruction, personas, count, seed } = options;
  const slots = schema.slots as Readonly<Record<string, SlotDefinition>>;
  return Array.from({ length: count }, (_, index) => {
    const random = new Random(seed).split('exercise', index);
    const item = random.pick(random.pick(personas).profile.items());
    const occasion = random.chance(0.5) ? 'answer' : 'volunteer';
    const profile = schema
      .empty()
      .with([{ op: slots[item.slot]!.cardinality === 'many' ? 'add' : 'set', slot: item.slot, value: item.value }]);
    return {
      messages: [
        { role: 'system', content: instruction },
        { role: 'user', content: random.pick(disclosingPhrases(item, occasion, schema)) },
        { role: 'assistant', content: formatTurn(profile, mentioning(item.text, random)) },
      ],
    };
  });
}
