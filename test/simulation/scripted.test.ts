import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isDispleased } from '../../src/language/index';
import { type ProfileItem, ProfileSchema, slot } from '../../src/profile/index';
import { Random } from '../../src/random';
import {
  conflictPersonas,
  type DialogueMessage,
  disclosedItems,
  generatePersonas,
  type Persona,
  SimulatedUser,
  scriptedBehaviour,
} from '../../src/simulation/index';
import { disclosingPhrases, impersonal, type Occasion } from '../../src/simulation/phrases';

const schema = ProfileSchema.standard;
const persona: Persona = {
  id: 'ada',
  profile: schema.profile({ age: 34, interests: ['chess', 'hiking'], occupation: 'nurse', location: 'Oslo', personalityTraits: ['calm'] }),
};

/** Talks to the scripted user; returns its messages. `replies` are the assistant's. */
async function talk(replies: readonly string[], { who = persona, seed = 1, options = {} as Parameters<typeof scriptedBehaviour>[0] } = {}) {
  const session = new SimulatedUser({ behaviour: scriptedBehaviour(options) }).begin(who, new Random(seed));
  const dialogue: DialogueMessage[] = [];
  const turns = [await session.next(dialogue)];
  for (const reply of replies) {
    dialogue.push({ role: 'user', content: turns.at(-1)!.text }, { role: 'assistant', content: reply });
    turns.push(await session.next(dialogue));
  }
  return turns;
}

describe('the scripted user', () => {
  it('begins with an impersonal greeting', async () => {
    const greetings = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const [first] = await talk([], { seed });
      expect(first!.disclosed).toEqual([]);
      greetings.add(first!.text);
    }
    expect(greetings.size).toBeGreaterThanOrEqual(4);
  });

  it('tells what it is asked for', async () => {
    const turns = await talk(['Hi! What do you do for a living?', 'Which city is your home?', 'And how old are you?']);
    expect(turns.map(({ disclosed }) => disclosed.map(({ text }) => text))).toEqual([[], ['nurse'], ['Oslo'], ['34']]);
    expect(turns[1]!.text).toContain('nurse');
  });

  it('tells one more value of a list each time it is asked about it, then says that it has told', async () => {
    const turns = await talk(['Do you have any hobbies?', 'What else do you like to do?', 'What do you do in your free time?']);
    expect([turns[1]!.disclosed[0]!.text, turns[2]!.disclosed[0]!.text].sort()).toEqual(['chess', 'hiking']);
    expect(turns[3]!.disclosed).toEqual([]);
    expect(impersonal.alreadyTold).toContain(turns[3]!.text);
  });

  it('keeps to itself what its profile does not have', async () => {
    const [, answer] = await talk(['Are you married?']);
    expect(impersonal.refusal).toContain(answer!.text);
    expect(answer!.disclosed).toEqual([]);
  });

  it('dislikes repetition and flattery, and then tells nothing', async () => {
    const repeated = await talk(['Do you have any hobbies?', 'Do you have any hobbies?']);
    expect(impersonal.repetition).toContain(repeated[2]!.text);
    expect(repeated[2]!.disclosed).toEqual([]);
    const [, flattered] = await talk(['You are so amazing! What do you do for a living?']);
    expect(impersonal.flattery).toContain(flattered!.text);
    expect(flattered!.disclosed).toEqual([]);
  });

  it('shows its dislike so that a judge can tell', () => {
    for (const line of [...impersonal.repetition, ...impersonal.flattery, ...impersonal.alreadyTold])
      expect([line, isDispleased(line)]).toEqual([line, true]);
  });

  it('volunteers something about a third of the time when it is asked nothing, else makes small talk', async () => {
    let told = 0;
    const runs = 400;
    for (let seed = 0; seed < runs; seed++) told += (await talk(['I see.'], { seed }))[1]!.disclosed.length;
    // p = .35, standard error sqrt(.35 · .65 / 400) = .024: three of them either side
    expect(told / runs).toBeGreaterThan(0.28);
    expect(told / runs).toBeLessThan(0.42);
    expect((await talk(['I see.'], { options: { volunteering: 0 } }))[1]!.disclosed).toEqual([]);
    expect((await talk(['I see.'], { options: { volunteering: 1 } }))[1]!.disclosed).toHaveLength(1);
  });

  it('asks back now and then', async () => {
    expect(impersonal.question).toContain((await talk(['I see.'], { options: { volunteering: 0, questioning: 1 } }))[1]!.text);
  });

  it('tells more to a policy that asks than to one that does not', async () => {
    const questions = ['What do you do for a living?', 'Which city is your home?', 'Do you have any hobbies?', 'How old are you?'];
    const comments = ['I see.', 'Oh, okay.', 'That happens.', 'Well then.'];
    const count = async (replies: readonly string[]) => {
      let told = 0;
      for (const who of generatePersonas({ count: 20, seed: 5 }))
        for (const turn of await talk(replies, { who })) told += turn.disclosed.length;
      return told;
    };
    expect(await count(questions)).toBeGreaterThan(1.5 * (await count(comments)));
  });

  it('says what has changed when its preferences change', async () => {
    for (const who of conflictPersonas({ count: 10, seed: 3, turn: 3 })) {
      const turns = await talk(['Hello!', 'Okay.'], { who });
      const [item] = turns[2]!.disclosed;
      expect(who.profile.items().map(({ key }) => key)).not.toContain(item!.key);
      expect(disclosingPhrases(item!, 'change', schema)).toContain(turns[2]!.text);
    }
  });

  it('says the same for the same seed, and something else for another', async () => {
    const texts = async (seed: number) =>
      (await talk(['Hello!', 'Okay.', 'I see.', 'Do you have any hobbies?'], { seed })).map(({ text }) => text);
    expect(await texts(4)).toEqual(await texts(4));
    expect(new Set((await Promise.all([1, 2, 3, 4, 5].map(texts))).map(String)).size).toBeGreaterThan(3);
  });

  it('can talk about the slots of any schema, and says a fact that is a sentence as it stands', async () => {
    const other = ProfileSchema.define({ favouriteColour: slot.one(z.string()), facts: slot.open() });
    const who = { id: 'x', profile: other.profile({ favouriteColour: 'green', facts: ['I love to bake cookies'] }) };
    const turns = await talk(['What is your favourite colour?', 'Anything else about yourself?'], { who });
    expect(turns[1]!.disclosed.map(({ text }) => text)).toEqual(['green']);
    expect(turns[2]!.text).toBe('I love to bake cookies.');
  });

  it('refuses probabilities outside [0, 1]', () => {
    expect(() => scriptedBehaviour({ volunteering: 1.2 })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });
});

describe("the scripted user's phrases", () => {
  const people = generatePersonas({ count: 600, seed: 9, split: 'held-out' });
  const everyItem = [...new Map(people.flatMap(({ profile }) => profile.items()).map((item) => [item.key, item])).values()];
  const occasions: readonly Occasion[] = ['answer', 'volunteer', 'change'];

  it('are at least four for each item and occasion, of 3 to 12 words', () => {
    for (const item of everyItem) {
      for (const occasion of occasions) {
        const phrases = disclosingPhrases(item, occasion, schema);
        expect(new Set(phrases).size).toBeGreaterThanOrEqual(4);
        for (const phrase of phrases) {
          const words = phrase.split(' ').length;
          expect([phrase, words >= 3 && words <= 12]).toEqual([phrase, true]);
        }
      }
    }
  });

  it('disclose their own item and, of everything that this slot or another can hold, nothing else', () => {
    // Within a slot, "one son" and "two sons" share words; nobody has both.
    const others = (item: ProfileItem) => everyItem.filter(({ key, slot }) => key === item.key || slot !== item.slot);
    for (const item of everyItem) {
      for (const phrase of occasions.flatMap((occasion) => disclosingPhrases(item, occasion, schema))) {
        expect([phrase, disclosedItems(phrase, others(item)).map(({ key }) => key)]).toEqual([phrase, [item.key]]);
      }
    }
  });

  it('disclose nothing where they are impersonal', () => {
    for (const phrase of Object.values(impersonal).flat()) expect([phrase, disclosedItems(phrase, everyItem)]).toEqual([phrase, []]);
  });
});
