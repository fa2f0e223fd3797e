import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Migration, memoryStore, PersonalizedAgent, type ProfileStore } from '../../src/agent/index';
import { ProfileSchema, type SlotMap, slot } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';
import { fixed } from './fixtures';

const agentOf = <S extends SlotMap>(schema: ProfileSchema<S>, store: ProfileStore, migrations: readonly Migration[] = []) => {
  const agent = new PersonalizedAgent({ schema, store, migrations, model: scriptedChatModel([]), ...fixed().options });
  const rejected: unknown[] = [];
  agent.on('rejected', (event) => rejected.push(...event.rejected));
  return { agent, rejected };
};

const first = ProfileSchema.define({
  job: slot.one(z.string()),
  hobbies: slot.one(z.string()),
  cities: slot.many(z.string()),
  age: slot.one(z.string()),
  pet: slot.one(z.string()),
});

/** A store with a user as the first version of the schema had them, and one change of job. */
async function stored() {
  const store = memoryStore();
  const { agent } = agentOf(first, store);
  await agent.edit('u1', [{ op: 'set', slot: 'job', value: 'waiter' }]);
  await agent.edit('u1', [
    { op: 'set', slot: 'job', value: 'nurse' },
    { op: 'set', slot: 'hobbies', value: 'jazz, hiking' },
    { op: 'set', slot: 'cities', value: ['Bremen', 'Kiel'] },
    { op: 'set', slot: 'age', value: 'thirty' },
    { op: 'set', slot: 'pet', value: 'a cat' },
  ]);
  return store;
}

const second = ProfileSchema.define({
  occupation: slot.one(z.string()),
  hobbies: slot.many(z.string()),
  cities: slot.one(z.string()),
  age: slot.one(z.int()),
  married: slot.one(z.boolean()),
});

const migrations: Migration[] = [
  ({ slot, value }) => {
    if (slot === 'job') return { slot: 'occupation', value };
    if (slot === 'hobbies')
      return String(value)
        .split(', ')
        .map((one) => ({ slot, value: one }));
    if (slot === 'age' && value === 'thirty') return { slot, value: 30 };
    return { slot, value };
  },
];

const current = async (agent: PersonalizedAgent<never>) => (await agent.history('u1')).filter(({ validTo }) => validTo === undefined);

describe('a record of an earlier version of the schema', () => {
  it('is read with its values renamed, divided and converted, past ones too', async () => {
    const { agent } = agentOf(second, await stored(), migrations);
    expect((await agent.profile('u1')).toJSON()).toEqual({ occupation: 'nurse', hobbies: ['jazz', 'hiking'], cities: 'Kiel', age: 30 });
    const history = await agent.history('u1');
    expect(history.filter(({ slot }) => slot === 'occupation')).toMatchObject([
      { value: 'waiter', validTo: expect.any(String) },
      { value: 'nurse' },
    ]);
    expect(new Set(history.map(({ id }) => id)).size).toBe(history.length);
  });

  it('is written with the next write, once, and the values that came along are left alone from then on', async () => {
    const store = await stored();
    const { agent } = agentOf(second, store, migrations);
    await agent.profile('u1');
    expect((await store.load('u1'))!.items.some(({ slot }) => slot === 'job')).toBe(true);
    await agent.edit('u1', [{ op: 'set', slot: 'married', value: true }]);
    const items = (await store.load('u1'))!.items;
    expect(items.some(({ slot }) => slot === 'job')).toBe(false);
    expect(items.every(({ schemaVersion }) => schemaVersion === 1)).toBe(true);
    const third: Migration = ({ slot, value }) => ({ slot, value: slot === 'occupation' ? `${value}!` : value });
    expect((await agentOf(second, store, [...migrations, third]).agent.profile('u1')).values.occupation).toBe('nurse!');
  });

  it('keeps what the schema does not take, says so once, and has it back with a schema that takes it', async () => {
    const store = await stored();
    const { agent, rejected } = agentOf(second, store);
    expect((await agent.profile('u1')).toJSON()).toEqual({ hobbies: ['jazz, hiking'], cities: 'Kiel' });
    expect(rejected).toEqual([]);
    await agent.edit('u1', [{ op: 'set', slot: 'married', value: true }]);
    expect(rejected).toEqual([
      { slot: 'job', value: 'nurse', reason: expect.stringContaining('no such slot') },
      { slot: 'cities', value: 'Bremen', reason: expect.stringContaining('one value') },
      { slot: 'age', value: 'thirty', reason: expect.stringContaining('number') },
      { slot: 'pet', value: 'a cat', reason: expect.stringContaining('no such slot') },
    ]);
    await agent.edit('u1', [{ op: 'set', slot: 'married', value: false }]);
    expect(rejected).toHaveLength(4);
    expect((await current(agent as never)).filter(({ refused }) => refused).map(({ slot }) => slot)).toEqual([
      'job',
      'cities',
      'age',
      'pet',
    ]);
    const back = agentOf(first, store).agent;
    expect((await back.profile('u1')).toJSON()).toMatchObject({ job: 'nurse', cities: ['Bremen', 'Kiel'], age: 'thirty', pet: 'a cat' });
    await back.edit('u1', [{ op: 'set', slot: 'pet', value: 'a dog' }]);
    expect((await current(back as never)).filter(({ refused }) => refused).map(({ slot }) => slot)).toEqual(['married']);
  });

  it('lets no refused value come back in the place of one that was taken out', async () => {
    const store = await stored();
    const { agent } = agentOf(second, store);
    await agent.edit('u1', [
      { op: 'set', slot: 'age', value: 31 },
      { op: 'remove', slot: 'cities', value: 'Kiel' },
    ]);
    expect((await agent.profile('u1')).toJSON()).toEqual({ hobbies: ['jazz, hiking'], age: 31 });
    const back = await agentOf(first, store).agent.profile('u1');
    expect(back.values.age).toBeUndefined();
    expect(back.values.cities).toEqual([]);
    expect((await agent.history('u1')).find(({ value }) => value === 31)!.supersedes).toBe(
      (await agent.history('u1')).find(({ value }) => value === 'thirty')!.id,
    );
  });

  const removal = { op: 'remove', slot: 'age' } as const;
  it.each([
    { removed: 'slot', edit: [removal] },
    { removed: 'slot beside another change', edit: [removal, { op: 'set', slot: 'married', value: true }] },
    { removed: 'value', edit: [{ ...removal, value: 'thirty' as never }] },
  ] as const)('loses what is refused with a $removed that is removed, which is no change of the profile', async ({ edit }) => {
    const store = await stored();
    const { agent } = agentOf(second, store);
    const changed: unknown[] = [];
    agent.on('change', ({ changes }) => changed.push(...changes.map(({ slot }) => slot)));
    await agent.edit('u1', edit);
    expect((await agent.history('u1')).find(({ value }) => value === 'thirty')!.validTo).toBeDefined();
    expect(changed).not.toContain('age');
    expect((await agentOf(first, store).agent.profile('u1')).values).toMatchObject({ age: undefined, pet: 'a cat' });
  });

  it('loses what is refused in a list that is set as a whole, and not to a value that is added', async () => {
    const store = memoryStore();
    const named = agentOf(ProfileSchema.define({ floors: slot.many(z.string()) }), store).agent;
    const numbered = agentOf(ProfileSchema.define({ floors: slot.many(z.int()) }), store).agent;
    const open = async () => (await current(numbered as never)).map(({ value }) => value);
    await named.edit('u1', [{ op: 'set', slot: 'floors', value: ['ground'] }]);
    await numbered.edit('u1', [{ op: 'add', slot: 'floors', value: 3 }]);
    expect(await open()).toEqual(['ground', 3]);
    await numbered.edit('u1', [{ op: 'set', slot: 'floors', value: [3, 4] }]);
    expect(await open()).toEqual([3, 4]);
  });

  it('has an id of its own for each value, also where values were divided more than once', async () => {
    const store = memoryStore();
    const texts = ProfileSchema.define({ hobbies: slot.many(z.string()) });
    const split =
      (sign: string): Migration =>
      ({ slot, value }) =>
        String(value)
          .split(sign)
          .map((one) => ({ slot, value: one }));
    await agentOf(texts, store).agent.edit('u1', [{ op: 'set', slot: 'hobbies', value: ['tea+rum, jazz+rock, go'] }]);
    const once = agentOf(texts, store, [split(', ')]).agent;
    await once.edit('u1', [{ op: 'remove', slot: 'hobbies', value: 'go' }]);
    const twice = agentOf(texts, store, [split(', '), split('+')]).agent;
    const history = await twice.history('u1');
    expect(history.map(({ value }) => value)).toEqual(['tea', 'rum', 'jazz', 'rock', 'go']);
    expect(new Set(history.map(({ id }) => id)).size).toBe(5);
    expect(await twice.history('u1')).toEqual(history); // not written yet, and the same when it is read again
  });

  it('may be written by both versions at once', async () => {
    const store = await stored();
    await agentOf(second, store, migrations).agent.edit('u1', [{ op: 'set', slot: 'married', value: true }]);
    await agentOf(first, store).agent.edit('u1', [{ op: 'set', slot: 'job', value: 'teacher' }]);
    const { agent } = agentOf(second, store, migrations);
    expect((await agent.profile('u1')).values).toMatchObject({ occupation: 'teacher', married: true, hobbies: ['jazz', 'hiking'] });
  });

  it('ends what a migration says does not hold, and keeps what a migration fails at', async () => {
    const { agent } = agentOf(second, await stored(), [
      (item) => {
        if (item.slot === 'pet') return [];
        if (item.slot === 'age') throw new Error('not this one');
        return item;
      },
    ]);
    expect((await agent.history('u1')).find(({ slot }) => slot === 'pet')).toMatchObject({ value: 'a cat', validTo: expect.any(String) });
    await agent.edit('u1', [{ op: 'set', slot: 'married', value: true }]);
    expect((await agent.history('u1')).find(({ slot }) => slot === 'age')).toMatchObject({ value: 'thirty', refused: expect.any(String) });
  });

  it.each([undefined, null, 'nurse', { slot: 'occupation' }, { value: 'nurse' }, [{ slot: 'occupation', value: 'nurse' }, undefined]])(
    'stays as it is where a migration gives no value of a slot: %j',
    async (given) => {
      const { agent } = agentOf(second, await stored(), [(item) => (item.slot === 'job' ? (given as never) : item)]);
      expect((await current(agent as never)).find(({ slot }) => slot === 'job')).toMatchObject({ value: 'nurse' });
      await agent.edit('u1', [{ op: 'set', slot: 'married', value: true }]);
      expect((await agent.history('u1')).find(({ slot, value }) => slot === 'job' && value === 'nurse')?.refused).toContain('no such slot');
    },
  );

  it('is not taken along by a promise, which nobody would wait for', async () => {
    const { agent } = agentOf(second, await stored(), [(async (item: unknown) => item) as never]);
    await expect(agent.profile('u1')).rejects.toMatchObject({ code: 'invalid-option', details: { option: 'migrations' } });
  });

  it('is taken along by functions only', () => {
    expect(() => agentOf(second, memoryStore(), ['rename' as never])).toThrow(/migrations/);
  });
});
