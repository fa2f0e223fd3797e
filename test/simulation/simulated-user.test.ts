import { describe, expect, it } from 'vitest';
import { ProfileSchema } from '../../src/profile/index';
import { Random } from '../../src/random';
import {
  type Persona,
  replayBehaviour,
  SimulatedUser,
  scriptedBehaviour,
  type UserBehaviour,
  type UserContext,
} from '../../src/simulation/index';

const schema = ProfileSchema.standard;
const persona: Persona = {
  id: 'ada',
  profile: schema.profile({ age: 34, interests: ['chess', 'hiking'], occupation: 'nurse', location: 'Oslo' }),
};

/** Says the next line of the list every time it is asked, and keeps what it was given. */
function saying(...lines: string[]): UserBehaviour & { asked: UserContext[] } {
  const asked: UserContext[] = [];
  return {
    name: 'lines',
    asked,
    async reply(context) {
      asked.push(context);
      return { text: lines[asked.length - 1] ?? 'Hm.' };
    },
  };
}

const begin = (behaviour: UserBehaviour, options: Partial<ConstructorParameters<typeof SimulatedUser>[0]> = {}, who = persona) =>
  new SimulatedUser({ behaviour, ...options }).begin(who, new Random(1));

describe('a simulated user', () => {
  it('may tell nothing in its first message, then a share of the profile, and at least one item', async () => {
    const behaviour = saying('Hi', 'Well', 'So');
    const session = begin(behaviour, { disclosurePerTurn: 0.5 });
    await session.next([]);
    await session.next([]);
    expect(behaviour.asked.map(({ budget }) => budget)).toEqual([0, 2]); // ⌊.5 · 5⌋
    const shy = saying('Hi', 'Well');
    const other = begin(shy);
    await other.next([]);
    await other.next([]);
    expect(shy.asked[1]!.budget).toBe(1); // ⌊.15 · 5⌋ = 0, but at least 1
  });

  it('keeps the books of what it has told, and counts an item once', async () => {
    const session = begin(saying('Hi', 'I am a nurse.', 'As a nurse in Oslo I am tired.'));
    await session.next([]);
    expect((await session.next([])).disclosed.map(({ text }) => text)).toEqual(['nurse']);
    const third = await session.next([]);
    expect(third.disclosed.map(({ text }) => text)).toEqual(['Oslo']);
    expect(third.overBudget).toBe(0);
    expect(session.disclosed.map(({ text }) => text)).toEqual(['nurse', 'Oslo']);
  });

  it('is asked again when it tells too much, and told what was refused', async () => {
    const behaviour = saying('Hi', 'I am a nurse in Oslo.', 'I am a nurse.');
    const session = begin(behaviour);
    await session.next([]);
    const second = await session.next([]);
    expect(second.text).toBe('I am a nurse.');
    expect(behaviour.asked.at(-1)).toMatchObject({ turn: 2, rejected: ['I am a nurse in Oslo.'] });
  });

  it('is trimmed when it tells too much three times, and reported when that does not help', async () => {
    const tooMuch = 'I am a nurse. I live in Oslo.';
    const behaviour = saying('Hi', tooMuch, tooMuch, tooMuch);
    const session = begin(behaviour);
    await session.next([]);
    expect(await session.next([])).toMatchObject({ text: 'I am a nurse.', overBudget: 0 });
    expect(behaviour.asked).toHaveLength(4);

    const stubborn = 'I am a nurse in Oslo';
    const other = begin(saying('Hi', stubborn, stubborn, stubborn));
    await other.next([]);
    const reported = await other.next([]);
    expect(reported).toMatchObject({ text: stubborn, overBudget: 1 });
    expect(reported.disclosed).toHaveLength(2);
  });

  it('says the fixed first message without being asked for one', async () => {
    const behaviour = saying('not this');
    expect((await begin(behaviour, { firstMessage: 'Hello' }).next([])).text).toBe('Hello');
    expect(behaviour.asked).toHaveLength(0);
  });

  it('counts what a behaviour says that it told in words of its own', async () => {
    const [age] = persona.profile.items();
    const hinting: UserBehaviour = {
      name: 'hinting',
      reply: async ({ turn }) => (turn === 1 ? { text: 'Hi' } : { text: 'I was born in ninety-two.', disclosed: [age!] }),
    };
    const session = begin(hinting);
    await session.next([]);
    expect((await session.next([])).disclosed).toEqual([age]);
  });

  it('changes its golden profile at the turn set, and what changed is untold again', async () => {
    const changing = {
      ...persona,
      change: { turn: 3, profile: persona.profile.with([{ op: 'set', slot: 'occupation', value: 'baker' }]) },
    };
    const session = begin(saying('Hi', 'I am a nurse.', 'Hm.', 'I am a baker.'), {}, changing);
    await session.next([]);
    expect((await session.next([])).golden).toBe(persona.profile);
    expect(session.disclosed.map(({ text }) => text)).toEqual(['nurse']);
    expect((await session.next([])).golden).toBe(changing.change.profile);
    expect(session.disclosed).toEqual([]);
    expect((await session.next([])).disclosed.map(({ text }) => text)).toEqual(['baker']);
  });

  it('refuses options and personas that make no sense', () => {
    const behaviour = scriptedBehaviour();
    for (const disclosurePerTurn of [0, -1, 1.1, Number.NaN]) {
      expect(() => new SimulatedUser({ behaviour, disclosurePerTurn })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    }
    for (const timeoutMs of [0, '30000' as unknown as number])
      expect(() => new SimulatedUser({ behaviour, timeoutMs })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    expect(() => new SimulatedUser({ behaviour, firstMessage: ' ' })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    const invalid = expect.objectContaining({ code: 'invalid-persona' });
    expect(() => begin(behaviour, {}, { id: 'nobody', profile: schema.empty() })).toThrow(invalid);
    expect(() => begin(behaviour, {}, { ...persona, change: { turn: 1, profile: persona.profile } })).toThrow(invalid);
    expect(() => begin(behaviour, {}, { ...persona, change: { turn: 4, profile: schema.empty() } })).toThrow(invalid);
    expect(() => begin(replayBehaviour())).toThrow(invalid);
  });

  it('ends at its deadline or by its signal, even when the behaviour ignores both', async () => {
    const silent: UserBehaviour = { name: 'silent', reply: () => new Promise(() => {}) };
    await expect(begin(silent, { timeoutMs: 10 }).next([])).rejects.toMatchObject({ code: 'timeout' });
    const controller = new AbortController();
    const waiting = begin(silent).next([], { signal: controller.signal });
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
  });

  it('can be asked again for a message that it failed to write', async () => {
    let calls = 0;
    const session = begin({
      name: 'flaky',
      reply: async () => {
        if (calls++ === 0) throw new Error('no connection');
        return { text: 'Hi' };
      },
    });
    await expect(session.next([])).rejects.toThrow('no connection');
    expect(await session.next([])).toMatchObject({ text: 'Hi' });
    expect(session.turn).toBe(1);
  });
});

describe('a replayed person', () => {
  const recorded: Persona = { ...persona, messages: ['I am a nurse in Oslo.', 'And I play chess.', 'Bye!'] };

  it('says what was recorded, measured but neither asked again nor trimmed, and is done at the end', async () => {
    const session = begin(replayBehaviour(), { firstMessage: 'Hello' }, recorded);
    const first = await session.next([]);
    expect(first).toMatchObject({ text: 'I am a nurse in Oslo.', overBudget: 2, done: false });
    expect(first.disclosed.map(({ text }) => text)).toEqual(['nurse', 'Oslo']);
    expect(await session.next([])).toMatchObject({ text: 'And I play chess.', overBudget: 0, done: false });
    expect(await session.next([])).toMatchObject({ text: 'Bye!', done: true });
  });
});
