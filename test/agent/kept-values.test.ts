import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { memoryStore, PersonalizedAgent, type StoredItem } from '../../src/agent/index';
import { ProfileSchema, profileItem, slot } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';
import { fixed, json, turnJson } from './fixtures';

const schema = ProfileSchema.define({
  emails: slot.many(z.email()),
  site: slot.one(z.url()),
  income: slot.one(z.enum(['<50k', '>50k'])),
  home: slot.one(z.object({ city: z.string(), zip: z.string() })),
  skills: slot.many(z.string()),
  version: slot.one(z.string()),
});
type Name = keyof typeof schema.slots;

/** An agent whose model proposes these changes, one a turn, in answer to these messages. */
async function told(...turns: readonly { readonly message: string; readonly slot: Name; readonly value: unknown }[]) {
  const op = (name: Name) => (schema.slots[name].cardinality === 'many' ? 'add' : 'set');
  const answers = turns.map(({ slot, value }) => turnJson([{ op: op(slot), slot, value, evidence: null }], 'Hi'));
  const agent = new PersonalizedAgent({ schema, model: scriptedChatModel(answers, json), ...fixed().options });
  const contradictions: unknown[] = [];
  agent.on('contradiction', ({ before, after }) => contradictions.push([before.value, after.value]));
  const results = [];
  for (const { message } of turns) results.push(await agent.respond({ userId: 'u1', message }));
  return { agent, contradictions, last: results.at(-1)!, history: await agent.history('u1') };
}

/** The value of a slot, and another whose normalised text is the same. */
const pairs = [
  { slot: 'site', value: 'https://x.com/', other: 'https://x.com/a' },
  { slot: 'income', value: '<50k', other: '>50k' },
  { slot: 'home', value: { city: 'Oslo', zip: '0150' }, other: { city: 'Oslo', zip: '150' } },
  { slot: 'version', value: '3.1', other: '3.10' },
] as const;

describe('a value of which only signs are others', () => {
  it.each(pairs)('takes the place of the one before, which stays in the history: $slot $value, $other', async ({ slot, value, other }) => {
    const agent = new PersonalizedAgent({ schema, model: scriptedChatModel([]), ...fixed().options });
    const changes: unknown[] = [];
    const contradictions: unknown[] = [];
    agent.on('change', (event) => changes.push(...event.changes.map((change) => change.value)));
    agent.on('contradiction', ({ before, after }) => contradictions.push([before.value, after.value]));
    for (const each of [value, other]) await agent.edit('u1', [{ op: 'set', slot, value: each } as never]);
    expect((await agent.profile('u1')).values[slot]).toEqual(other);
    expect(changes).toEqual([value, other]);
    expect(contradictions).toEqual([[value, other]]);
    const [before, after] = await agent.history('u1');
    expect(before).toMatchObject({ value, validTo: expect.any(String) });
    expect(after).toMatchObject({ value: other, supersedes: before!.id });
  });

  it.each([
    ['emails', ['smith@x.com', 'a.smith@x.com', 'A.smith@x.com']],
    ['skills', ['Python 3.1', 'Python 3.10', 'C', 'C/C++']],
  ] as const)('is one more in a list, and removed by its own name: %s', async (slot, values) => {
    const agent = new PersonalizedAgent({ schema, model: scriptedChatModel([]) });
    for (const value of values) await agent.edit('u1', [{ op: 'add', slot, value }]);
    expect((await agent.profile('u1')).values[slot]).toEqual(values);
    await agent.edit('u1', [{ op: 'remove', slot, value: values[1] }]);
    expect((await agent.profile('u1')).values[slot]).toEqual(values.filter((value) => value !== values[1]));
  });

  it('comes with evidence of its own', async () => {
    const { history, contradictions } = await told(
      { message: 'My site is https://x.com/', slot: 'site', value: 'https://x.com/' },
      { message: 'It moved to https://x.com/a', slot: 'site', value: 'https://x.com/a' },
    );
    expect(history.map(({ value, evidence }) => [value, evidence?.text])).toEqual([
      ['https://x.com/', 'https://x.com'],
      ['https://x.com/a', 'https://x.com/a'],
    ]);
    expect(contradictions).toHaveLength(1);
  });

  it('is a guess where the user said the other one, and does not take its place', async () => {
    const { last } = await told(
      { message: 'My site is https://x.com/.', slot: 'site', value: 'https://x.com/' },
      { message: 'Lovely weather.', slot: 'site', value: 'https://x.com/a' },
    );
    expect(last.profile.values.site).toBe('https://x.com/');
    expect(last.rejected).toMatchObject([{ slot: 'site', value: 'https://x.com/a' }]);
  });
});

describe('a text with signs that tell it from others', () => {
  it.each([
    ['skills', 'Python 3.10', 'I write Python 3.1.', 'I write Python 3.10.'],
    ['skills', '$100 a week', 'I earn 100 a week.', 'I earn $100 a week.'],
    ['skills', 'Python 3.1', 'I write Python 3.10.', 'I write Python 3.1.'],
    ['skills', '3.5 GPA', 'My GPA is 3.', 'My GPA is 3.5/4'],
    ['emails', 'smith@x.com', 'Write to a.smith@x.com', 'Write to <Smith@X.com>, please'],
    ['emails', 'a.smith@x.com', 'Write to smith@x.com', '(a.smith@x.com)'],
    ['site', 'https://x.com/', 'Look at https://x.com/a', 'Look at https://x.com/'],
    ['income', '<50k', 'I earn >50k', 'I earn <50k'],
  ] as const)('is said only with them: %s, %j, not by %j', async (slot, value, not, said) => {
    expect((await told({ slot, value, message: not })).history[0]).toMatchObject({ source: 'inferred', confidence: 0.4 });
    expect((await told({ slot, value, message: said })).history[0]).toMatchObject({ source: 'stated', confidence: 1 });
  });

  it.each([
    ['Café-Besitzer', 'Ich bin Cafe Besitzer.'],
    ['hiking/camping', 'I love hiking and camping.'],
    ['part_time work', 'I work part time.'],
    ['R&B music', 'I love r & b music.'],
    ['C++', 'I write C++ every day.'],
  ])('may be said without those for which people write others: %s, "%s"', async (value, message) => {
    expect((await told({ slot: 'skills', value, message })).history[0]).toMatchObject({ source: 'stated' });
  });

  it('is removed by the name that the user gives it, in another spelling too', async () => {
    for (const [value, other] of [
      ['R&B', 'R & B'],
      ['Zürich', 'Zurich'],
      ["80's music", '80s music'],
    ] as const) {
      const agent = new PersonalizedAgent({ schema, model: scriptedChatModel([]) });
      await agent.edit('u1', [{ op: 'add', slot: 'skills', value }]);
      await agent.edit('u1', [{ op: 'remove', slot: 'skills', value: other }]);
      expect((await agent.profile('u1')).values.skills).toEqual([]);
    }
  });

  it('becomes stated when the user says it', async () => {
    for (const value of ['Python 3.10', 'Café-Besitzer', 'the works']) {
      const { agent, last } = await told(
        { message: 'Guess.', slot: 'skills', value },
        { message: `Yes: ${value}.`, slot: 'skills', value },
      );
      expect(last.changes).toEqual([]);
      expect(await agent.history('u1')).toMatchObject([{ value, source: 'stated' }]);
    }
  });
});

it('a listed text with an article in it becomes stated when the user says it', async () => {
  const bands = ProfileSchema.define({ band: slot.one(z.enum(['The Who', 'Abba'])), book: slot.one(z.object({ title: z.string() })) });
  for (const change of [
    { slot: 'band', value: 'The Who' },
    { slot: 'book', value: { title: 'The Hobbit' } },
  ]) {
    const model = scriptedChatModel([turnJson([{ op: 'set', evidence: null, ...change } as never], 'Hi'), turnJson([], 'Hi')], json);
    const agent = new PersonalizedAgent({ schema: bands, model, ...fixed().options });
    for (const message of ['Guess.', 'I like the band The Who, and I read The Hobbit.']) await agent.respond({ userId: 'u1', message });
    expect(await agent.history('u1')).toMatchObject([{ ...change, source: 'stated' }]);
  }
});

describe('a record in which values were told apart otherwise', () => {
  it('is read as the schema tells them apart now, and written so', async () => {
    const store = memoryStore();
    const agent = new PersonalizedAgent({ schema, store, model: scriptedChatModel([]), ...fixed().options });
    const validFrom = '2026-01-01T00:00:00.000Z';
    const items = (['emails', 'site', 'skills', 'skills'] as const).map(
      (name, index): StoredItem => ({
        ...profileItem(name, ['ann@x.com', 'https://x.com/', 'Python 3.10', 'Jazz'][index]),
        id: `i${index}`,
        source: 'stated',
        confidence: 1,
        validFrom,
      }),
    );
    await store.save({ userId: 'u1', id: 'r', version: 1, profileVersion: 1, items, turns: [] }, 0);
    await agent.edit('u1', [
      { op: 'set', slot: 'site', value: 'https://x.com/' },
      { op: 'add', slot: 'emails', value: 'ann@x.com' },
      { op: 'add', slot: 'skills', value: 'Python 3.1' },
      { op: 'add', slot: 'skills', value: 'Python 3.10' },
      { op: 'remove', slot: 'skills', value: 'jazz' },
    ]);
    expect((await agent.profile('u1')).values).toMatchObject({ emails: ['ann@x.com'], skills: ['Python 3.10', 'Python 3.1'] });
    const history = await agent.history('u1');
    expect(history.map(({ id, value, validTo }) => [id, value, validTo !== undefined])).toEqual([
      ['i0', 'ann@x.com', false],
      ['i1', 'https://x.com/', false],
      ['i2', 'Python 3.10', false],
      ['i3', 'Jazz', true],
      [expect.any(String), 'Python 3.1', false],
    ]);
    const current = history.filter(({ validTo }) => validTo === undefined);
    expect(new Set(current.map(({ key }) => key))).toEqual(new Set((await agent.profile('u1')).items().map(({ key }) => key)));
  });
});
