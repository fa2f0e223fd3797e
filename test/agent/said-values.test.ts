import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PersonalizedAgent } from '../../src/agent/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';
import { json, turnJson } from './fixtures';

const schema = ProfileSchema.define({
  name: slot.one(z.string()),
  occupation: slot.one(z.string()),
  location: slot.one(z.string()),
  interests: slot.many(z.string()),
  personalityTraits: slot.many(z.string()),
  maritalStatus: slot.one(z.string()),
  pronouns: slot.one(z.string()),
  gender: slot.one(z.string()),
  bloodType: slot.one(z.string()),
  languages: slot.many(z.string()),
  pets: slot.one(z.string()),
  // named, so that its JSON Schema is a reference
  smoker: slot.one(z.enum(['yes', 'no', 'sometimes']).meta({ id: 'Smoking' })),
  newsletter: slot.one(z.boolean()),
  children: slot.one(z.int()),
  rhesusFactor: slot.one(z.enum(['+', '-'])),
});
type Name = keyof typeof schema.slots;

/** A message in which somebody else speaks too, so that nothing is taken that the user does not say. */
const mixed = (message: string) => `${message}\n> A quoted line.`;

interface Said {
  readonly message: string;
  readonly slot: Name;
  readonly value: unknown;
  readonly evidence?: string | null;
}

async function learn({ message, slot, value, evidence = null }: Said, before: Readonly<Record<string, unknown>> = {}) {
  const stated = Object.entries(before).map(([slot, value]) => ({ op: 'set', slot, value, evidence: null }));
  const op = schema.slots[slot].cardinality === 'many' ? 'add' : 'set';
  const model = scriptedChatModel([turnJson(stated, 'Hi'), turnJson([{ op, slot, value, evidence }], 'Hi')], json);
  const agent = new PersonalizedAgent({ schema, model });
  await agent.respond({ userId: 'u1', message: Object.values(before).join(', ') || 'Hello' });
  const turn = await agent.respond({ userId: 'u1', message });
  return { ...turn, item: (await agent.history('u1')).find((item) => item.slot === slot && item.value === value) };
}

/** Words of the message that say nothing of the slot, or of anybody. */
const unsaid: readonly Said[] = [
  { message: 'I live in Bergen.', slot: 'personalityTraits', value: 'in' },
  { message: 'I live in Bergen.', slot: 'location', value: 'in' },
  { message: 'I live in Bergen.', slot: 'location', value: 'i' },
  { message: 'I feel that I slowed down.', slot: 'personalityTraits', value: 'down' },
  { message: 'I am at home in it.', slot: 'occupation', value: 'IT' },
  { message: 'I AM AT HOME IN IT', slot: 'occupation', value: 'IT' },
  { message: 'Will it rain? I do not know.', slot: 'name', value: 'Will' },
  { message: 'My name? Who wants to know it?', slot: 'interests', value: 'The Who' },
  { message: 'He told him that I paint.', slot: 'pronouns', value: 'he/him' },
  { message: 'They are not my pronouns.', slot: 'pronouns', value: 'they' },
  { message: "I'm a nurse, and a tired one.", slot: 'bloodType', value: 'A' },
  { message: 'A nurse has blood on her.', slot: 'bloodType', value: 'A' },
  { message: "That's it, e.g. in German.", slot: 'languages', value: 'e' },
  { message: 'Это я, и я люблю чай.', slot: 'personalityTraits', value: 'я' },
  { message: 'これ の ほん', slot: 'personalityTraits', value: 'の' },
  { message: 'Thanks! I have not met any.', slot: 'personalityTraits', value: 'Thanks' },
  { message: 'No, I like my pets.', slot: 'pets', value: 'no' },
  { message: 'Yes, I work.', slot: 'occupation', value: 'yes' },
  { message: 'My occupation is a secret.', slot: 'occupation', value: 'occupation' },
  { message: 'My Marital Status is a secret.', slot: 'maritalStatus', value: 'Status' },
  { message: 'I forgot what my occupation is. What is my occupation? My occupation is what?', slot: 'occupation', value: 'what' },
  { message: 'What a day 😀 at work!', slot: 'occupation', value: '😀' },
];

/** Values made of the same words, which the user does say. */
const said: readonly (Said & { readonly words: string })[] = [
  { message: 'I work in IT.', slot: 'occupation', value: 'IT', words: 'IT' },
  { message: 'IT is my job.', slot: 'occupation', value: 'IT', words: 'IT' },
  { message: 'I moved to the US last year.', slot: 'location', value: 'US', words: 'US' },
  { message: 'The Who are my favourite band.', slot: 'interests', value: 'The Who', words: 'The Who' },
  { message: 'My name is Will, by the way.', slot: 'name', value: 'Will', words: 'Will' },
  { message: 'You can call me May.', slot: 'name', value: 'May', words: 'May' },
  { message: 'My pronouns are He/Him.', slot: 'pronouns', value: 'he/him', words: 'He/Him' },
  { message: "I'm she / her, thanks.", slot: 'pronouns', value: 'she/her', words: 'she / her' },
  { message: 'My pronouns are they.', slot: 'pronouns', value: 'they', words: 'they' },
  { message: 'Gender: other', slot: 'gender', value: 'other', words: 'other' },
  { message: 'I have blood type A.', slot: 'bloodType', value: 'A', words: 'A' },
  { message: 'I program in C and in R.', slot: 'languages', value: 'R', words: 'R' },
  { message: 'I program in c++ and c#.', slot: 'languages', value: 'c++', words: 'c++' },
  { message: 'Pets: no. Plants: yes.', slot: 'pets', value: 'no', words: 'no' },
  { message: '차 is what I love.', slot: 'interests', value: '차', words: '차' },
  { message: 'I love 茶 and rain.', slot: 'interests', value: '茶', words: '茶' },
  { message: 'I have been feeling a bit down lately.', slot: 'personalityTraits', value: 'down', words: 'down' },
  { message: 'I am reading "Being Yourself."', slot: 'interests', value: 'being yourself', words: 'Being Yourself' },
  { message: 'I am down to earth.', slot: 'personalityTraits', value: 'down to earth', words: 'down to earth' },
];

describe('words that nearly every message holds', () => {
  it.each(unsaid)('are not the value $value of $slot because of "$message"', async (turn) => {
    const { item, profile } = await learn(turn);
    // A conclusion without evidence, as any that nothing speaks for.
    expect(item).toMatchObject({ source: 'inferred', confidence: 0.4 });
    expect(item!.evidence).toBeUndefined();
    expect(profile.size).toBe(1);
  });

  it.each(unsaid)('do not make $value the $slot beside foreign text: "$message"', async (turn) => {
    const { profile, rejected } = await learn({ ...turn, message: mixed(turn.message) });
    expect(profile.size).toBe(0);
    expect(rejected).toMatchObject([{ slot: turn.slot, value: turn.value }]);
  });

  it.each(said)('are the value $value of $slot, written as such: "$message"', async ({ words, ...turn }) => {
    for (const message of [turn.message, mixed(turn.message)]) {
      const { item, rejected } = await learn({ ...turn, message });
      expect(rejected).toEqual([]);
      expect(item).toMatchObject({ source: 'stated', confidence: 1, evidence: { text: words } });
      expect(message.slice(item!.evidence!.start, item!.evidence!.end)).toBe(words);
    }
  });

  it('are no quote that speaks for another value', async () => {
    const turn = { message: mixed('I live in Bergen now.'), slot: 'location', value: 'Mars' } as const;
    expect((await learn({ ...turn, evidence: 'I … in' })).rejected).toMatchObject([{ value: 'Mars' }]);
    expect((await learn({ ...turn, evidence: 'I live in Bergen' })).rejected).toEqual([]);
  });

  it('do not become a value by a quote that is about the slot', async () => {
    const turn = { message: 'I live in Bergen now.', slot: 'location', value: 'in', evidence: 'I live in Bergen' } as const;
    expect((await learn({ ...turn, message: mixed(turn.message) })).rejected).toMatchObject([{ value: 'in' }]);
  });

  it('do not take the place of what the user stated, though the user speaks of it', async () => {
    const turn = { message: 'I live in Bergen now.', slot: 'location', value: 'in', evidence: 'I live in Bergen' } as const;
    const { profile, rejected } = await learn(turn, { location: 'Oslo' });
    expect(profile.values.location).toBe('Oslo');
    expect(rejected).toMatchObject([{ slot: 'location', value: 'in' }]);
    expect((await learn({ ...turn, value: 'Bergen' }, { location: 'Oslo' })).profile.values.location).toBe('Bergen');
    const tech = { message: 'I moved on to tech support.', slot: 'occupation', value: 'IT', evidence: 'tech support' } as const;
    expect((await learn(tech, { occupation: 'nurse' })).profile.values.occupation).toBe('IT');
  });
});

/** In scripts without spaces between words. */
const unspaced: readonly (Said & { readonly words: string })[] = [
  { message: '我是护士，住在上海。', slot: 'occupation', value: '护士', words: '护士' },
  { message: '我在Google工作。', slot: 'occupation', value: 'Google', words: 'Google' },
  { message: '我有2个孩子。', slot: 'children', value: 2, words: '2' },
  { message: '我喜欢喝茶。', slot: 'interests', value: '茶', words: '茶' },
  { message: '私はITエンジニアです。', slot: 'occupation', value: 'IT エンジニア', words: 'ITエンジニア' },
  { message: '趣味は サッカー 観戦です', slot: 'interests', value: 'サッカー観戦', words: 'サッカー 観戦' },
  { message: 'ฉันเป็นพยาบาลที่กรุงเทพ', slot: 'occupation', value: 'พยาบาล', words: 'พยาบาล' },
  { message: 'ຂ້ອຍເປັນຄູສອນ', slot: 'occupation', value: 'ຄູສອນ', words: 'ຄູສອນ' },
  { message: 'ខ្ញុំជាគ្រូបង្រៀន', slot: 'occupation', value: 'គ្រូបង្រៀន', words: 'គ្រូបង្រៀន' },
  { message: 'ကျွန်တော်က ဆရာဝန်ပါ', slot: 'occupation', value: 'ဆရာဝန်', words: 'ဆရာဝန်' },
];

describe('a value in a message that is written without spaces', () => {
  it.each(unspaced)('is said: $value in "$message"', async ({ words, ...turn }) => {
    const { item } = await learn(turn);
    expect(item).toMatchObject({ source: 'stated', confidence: 1, evidence: { text: words } });
    expect(turn.message.slice(item!.evidence!.start, item!.evidence!.end)).toBe(words);
  });

  it('is inferred where it is not there, with a quote that is', async () => {
    const turn = { message: '今天病房很忙。', slot: 'occupation', value: '护士' } as const;
    expect((await learn(turn)).item).toMatchObject({ source: 'inferred', confidence: 0.4 });
    expect((await learn({ ...turn, evidence: '病房很忙' })).item).toMatchObject({ source: 'inferred', evidence: { text: '病房很忙' } });
  });

  it('does not give way to a guess', async () => {
    const { profile, rejected } = await learn({ message: '今天天气很好。', slot: 'occupation', value: '飞行员' }, { occupation: '护士' });
    expect(profile.values.occupation).toBe('护士');
    expect(rejected).toMatchObject([{ value: '飞行员' }]);
  });

  it('needs the subject of its slot where it stands in foreign text, too', async () => {
    const said = { slot: 'occupation', value: '护士' } as const;
    expect((await learn({ ...said, message: '护士们很好。\n> 我是护士吧。' })).rejected).toMatchObject([{ value: '护士' }]);
    expect((await learn({ ...said, message: '护士们很好。\n> 天气很好。' })).rejected).toEqual([]);
  });
});

describe('a value that the schema lists', () => {
  it.each([
    ['no', 'smoker', 'No, I am no smoker.'],
    ['sometimes', 'smoker', 'I am sometimes a smoker, at parties.'],
    ['+', 'rhesusFactor', 'My rhesus factor is + or so.'],
    [true, 'newsletter', 'Yes, the newsletter please.'],
    [2, 'children', 'I have two children.'],
  ] as const)('%j of %s is taken from "%s"', async (value, slot, message) => {
    const { profile, rejected } = await learn({ message, slot, value });
    expect(rejected).toEqual([]);
    expect(profile.values[slot]).toBe(value);
  });

  it('needs its word and its subject beside foreign text', async () => {
    const about = { slot: 'smoker', value: 'no' } as const;
    expect((await learn({ ...about, message: mixed('No, I am no smoker.') })).profile.values.smoker).toBe('no');
    expect((await learn({ ...about, message: mixed('No, I paint.') })).profile.size).toBe(0);
    expect((await learn({ ...about, message: mixed('I am a smoker.') })).profile.size).toBe(0);
  });

  it('takes the place of another that was stated', async () => {
    const { profile } = await learn({ message: 'I am a smoker, sometimes.', slot: 'smoker', value: 'sometimes' }, { smoker: 'no' });
    expect(profile.values.smoker).toBe('sometimes');
  });
});

describe('a value in which there is nothing to read', () => {
  it.each(['-', '…', '???', '—', '"', '&/()', '\u200b\u200b', '™️'.slice(1)])('%j is refused', async (value) => {
    const { profile, rejected } = await learn({ message: `I live ${value} in Bergen.`, slot: 'location', value });
    expect(profile.size).toBe(0);
    expect(rejected).toMatchObject([{ slot: 'location', value }]);
  });

  it('leaves the others of its list, and what was there', async () => {
    const list = { message: 'I paint and knit.', slot: 'interests', value: ['painting', '-', 'knitting'] } as const;
    const { profile, rejected } = await learn(list);
    expect(profile.values.interests).toEqual(['painting', 'knitting']);
    expect(rejected).toMatchObject([{ value: '-' }]);
    const model = scriptedChatModel([turnJson([{ op: 'set', slot: 'interests', value: ['-'] }], 'Hi')], json);
    const agent = new PersonalizedAgent({ schema, model });
    await agent.edit('u1', [{ op: 'add', slot: 'interests', value: 'tea' }]);
    expect((await agent.respond({ userId: 'u1', message: 'Hm.' })).profile.values.interests).toEqual(['tea']);
  });

  it('is not an emoji or a sign of a currency', async () => {
    for (const value of ['🎸', '€']) expect((await learn({ message: 'Hm.', slot: 'interests', value })).profile.size).toBe(1);
  });
});
