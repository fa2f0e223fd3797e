import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PersonalizedAgent } from '../../src/agent/index';
import { formatTurn, ProfileSchema, slot } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';
import { fixed, json, turnJson } from './fixtures';

const schema = ProfileSchema.define({
  address: slot.one(z.object({ city: z.string(), zip: z.string().optional() })),
  pets: slot.many(z.object({ name: z.string(), kind: z.string(), tags: z.array(z.string()).optional() })),
  subscription: slot.one(z.object({ plan: z.string(), paid: z.boolean() })),
  hobby: slot.one(z.string()),
});
type Name = keyof typeof schema.slots;

interface Turn {
  readonly message: string;
  /** What the model makes of it. */
  readonly slot?: Name;
  readonly value?: unknown;
  readonly evidence?: string;
}

async function talk(...turns: readonly Turn[]) {
  const answers = turns.map(({ slot, value, evidence = null }) =>
    turnJson(slot ? [{ op: schema.slots[slot].cardinality === 'many' ? 'add' : 'set', slot, value, evidence }] : [], 'Hi'),
  );
  const agent = new PersonalizedAgent({ schema, model: scriptedChatModel(answers, json), ...fixed().options });
  const results = [];
  for (const { message } of turns) results.push(await agent.respond({ userId: 'u1', message }));
  const history = await agent.history('u1');
  return { last: results.at(-1)!, history, item: history.at(-1)! };
}

const oslo = { city: 'Oslo', zip: '0150' };

describe('an object', () => {
  it.each([
    ['I live in Oslo, 0150', 'Oslo, 0150'],
    [
      'My zip code is 0150. That is in the middle of the beautiful old town of Oslo, in Norway.',
      '0150. That is in the middle of the beautiful old town of Oslo',
    ],
  ])('is stated where the user says each value in it, with the words around them: "%s"', async (message, text) => {
    const { item, last } = await talk({ message, slot: 'address', value: oslo });
    expect(item).toMatchObject({ source: 'stated', confidence: 1, evidence: { messageId: last.messageId, text } });
    expect(message.slice(item.evidence!.start, item.evidence!.end)).toBe(text);
  });

  it('is stated where lists and objects in it are said', async () => {
    const value = { name: 'Rex', kind: 'old dog', tags: ['brown', 'friendly'] };
    const { item } = await talk({ message: 'Rex is my old dog, friendly and brown.', slot: 'pets', value });
    expect(item).toMatchObject({ source: 'stated', evidence: { text: 'Rex is my old dog, friendly and brown' } });
  });

  it('is inferred where its values are said here and there, for nobody said that they belong together', async () => {
    const { history } = await talk(
      { message: 'My dog is called Rex.', slot: 'pets', value: { name: 'Rex', kind: 'dog' } },
      { message: 'I have a cat, too.', slot: 'pets', value: { name: 'Rex', kind: 'cat' } },
    );
    expect(history).toMatchObject([
      { source: 'stated', evidence: { text: 'dog is called Rex' } },
      { source: 'inferred', confidence: 0.7, evidence: { text: 'cat' } },
    ]);
  });

  it('is inferred where the user says a part of it, with that as evidence, or with what the model quotes', async () => {
    const said = { message: 'I live in Oslo, near the fjord.', slot: 'address', value: oslo } as const;
    expect((await talk(said)).item).toMatchObject({ source: 'inferred', confidence: 0.7, evidence: { text: 'Oslo' } });
    const quoted = await talk({ ...said, evidence: 'near the fjord' });
    expect(quoted.item).toMatchObject({ source: 'inferred', confidence: 0.7, evidence: { text: 'near the fjord' } });
  });

  it('is inferred without evidence where the user says nothing of it, be it the names of its properties', async () => {
    const { item } = await talk({ message: 'Which city has the zip code 1234?', slot: 'address', value: oslo });
    expect(item).toMatchObject({ source: 'inferred', confidence: 0.4 });
    expect(item.evidence).toBeUndefined();
  });

  it('is not stated with a true or false in it, which no word says', async () => {
    const { item } = await talk({ message: 'Yes, I have the basic plan.', slot: 'subscription', value: { plan: 'basic', paid: true } });
    expect(item).toMatchObject({ source: 'inferred', confidence: 0.7, evidence: { text: 'basic' } });
  });

  it('that was inferred is stated once the user says it', async () => {
    const { item, last } = await talk({ message: 'Guess.', slot: 'address', value: oslo }, { message: 'Right: Oslo, 0150.' });
    expect(last.changes).toEqual([]);
    expect(item).toMatchObject({ source: 'stated', evidence: { text: 'Oslo, 0150' } });
  });
});

describe('an object that was stated', () => {
  const stated = { message: 'I live in Oslo, 0150', slot: 'address', value: oslo } as const;
  it.each([{ city: 'Rome' }, { city: 'Rome', zip: '00100' }, { city: 'Oslo', zip: '0151' }])(
    'does not give way to a guess: %j',
    async (value) => {
      for (const message of ['What is the weather today?', 'How do I zip a file?']) {
        const { last } = await talk(stated, { message, slot: 'address', value });
        expect(last.profile.values.address).toEqual(oslo);
        expect(last.rejected).toMatchObject([{ slot: 'address', value }]);
      }
    },
  );

  it('gives way to what the user says, in whole or in part', async () => {
    const { last, history } = await talk(stated, { message: 'I moved to Rome.', slot: 'address', value: { city: 'Rome', zip: '00100' } });
    expect(last.rejected).toEqual([]);
    expect(history).toMatchObject([{ value: oslo }, { value: { city: 'Rome' }, source: 'inferred', evidence: { text: 'Rome' } }]);
  });

  it('is no change when it is proposed once more', async () => {
    const { last } = await talk(stated, { message: 'Lovely weather.', slot: 'address', value: { zip: '0150', city: 'Oslo' } });
    expect([last.changes, last.rejected]).toEqual([[], []]);
  });
});

describe('an object that a text answer leaves out', () => {
  it('goes where the user names what is in it and says that it has ended', async () => {
    const rex = { name: 'Rex', kind: 'dog' };
    const mia = { name: 'Mia', kind: 'cat' };
    const left = async (message: string) => {
      const model = scriptedChatModel([formatTurn(schema.profile({ pets: [rex] }), 'Hi')]);
      const agent = new PersonalizedAgent({ schema, model });
      await agent.edit('u1', [{ op: 'set', slot: 'pets', value: [rex, mia] }]);
      return (await agent.respond({ userId: 'u1', message })).profile.values.pets;
    };
    expect(await left('I lost my cat Mia.')).toEqual([rex]);
    expect(await left('I lost the name and the kind of my keys.')).toEqual([rex, mia]);
  });
});

describe('an object beside foreign text', () => {
  const mixed = (message: string) => `${message}\n> A quoted line.`;
  it('is taken where each value in it is said', async () => {
    const said = await talk({ message: mixed('I live in Oslo, 0150.'), slot: 'address', value: oslo });
    expect(said.item).toMatchObject({ value: oslo, source: 'stated' });
    const partly = await talk({ message: mixed('I live in Oslo.'), slot: 'address', value: oslo });
    expect(partly.last.rejected).toMatchObject([{ slot: 'address', value: oslo }]);
  });

  it('needs the subject of its slot where a part of it stands in the foreign text', async () => {
    const message = 'Oslo 0150 rocks.\n> Rex is in Oslo.';
    expect((await talk({ message, slot: 'address', value: oslo })).last.rejected).toMatchObject([{ value: oslo }]);
    const about = 'My address is Oslo 0150.\n> Rex is in Oslo.';
    expect((await talk({ message: about, slot: 'address', value: oslo })).last.rejected).toEqual([]);
  });
});
