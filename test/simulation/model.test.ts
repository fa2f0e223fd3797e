import { describe, expect, it } from 'vitest';
import { ProfileSchema } from '../../src/profile/index';
import { Random } from '../../src/random';
import { modelBehaviour, type Persona, SimulatedUser } from '../../src/simulation/index';
import { scriptedChatModel } from '../../src/testing/index';

const persona: Persona = {
  id: 'ada',
  profile: ProfileSchema.standard.profile({ age: 34, interests: ['chess'], occupation: 'nurse', location: 'Oslo' }),
};
const begin = (model: ReturnType<typeof scriptedChatModel>, who = persona) =>
  new SimulatedUser({ behaviour: modelBehaviour({ model }) }).begin(who, new Random(1));
const dialogue = [
  { role: 'user', content: 'Hello' },
  { role: 'assistant', content: 'Hi! What do you do?' },
] as const;

describe('a user played by a model', () => {
  it('is the assistant of that model, and the policy is its user', async () => {
    const model = scriptedChatModel(['Hello', "I'm a nurse."]);
    const session = begin(model);
    await session.next([]);
    await session.next(dialogue);
    const [system, opening, ...rest] = model.requests[1]!.messages;
    expect(system!.role).toBe('system');
    expect(opening!.role).toBe('user'); // chat templates want a user's message first
    expect(rest).toEqual([
      { role: 'assistant', content: 'Hello' },
      { role: 'user', content: 'Hi! What do you do?' },
    ]);
  });

  it('reads its profile, what it has told, and its budget', async () => {
    const model = scriptedChatModel(['Hello', "I'm a nurse.", 'In Oslo.']);
    const session = begin(model);
    await session.next([]);
    await session.next(dialogue);
    await session.next(dialogue);
    const [first, , third] = model.requests.map(({ messages }) => messages[0]!.content);
    expect(first).toContain('- Occupation: nurse');
    expect(first).toContain('impersonal greeting');
    expect(third).toContain('at most 1 of the untold facts');
    const [told, untold] = third!.split('What is true of you and not told yet:');
    expect(told).toContain('- Occupation: nurse');
    expect(untold).not.toContain('nurse');
    expect(untold).toContain('- Location: Oslo');
  });

  it('is shown the drafts that told too much', async () => {
    const model = scriptedChatModel(['Hello', 'I am a nurse in Oslo.', 'I am a nurse.']);
    const session = begin(model);
    await session.next([]);
    expect((await session.next(dialogue)).text).toBe('I am a nurse.');
    expect(model.requests[2]!.messages[0]!.content).toContain('"I am a nurse in Oslo."');
  });

  it('is told to speak of a change when it comes', async () => {
    const change = { turn: 2, profile: persona.profile.with([{ op: 'set', slot: 'occupation', value: 'baker' }]) };
    const model = scriptedChatModel(['Hello', 'I am a baker now.']);
    const session = begin(model, { ...persona, change });
    await session.next([]);
    expect((await session.next(dialogue)).disclosed.map(({ text }) => text)).toEqual(['baker']);
    expect(model.requests[1]!.messages[0]!.content).toContain('just changed');
  });

  it.each([
    ['User: Hello', 'Hello'],
    ['"Hello there"', 'Hello there'],
    ['**User:** Hello\n\nAssistant: Hi! How can I help?', 'Hello'],
    ['  Hello "you"  ', 'Hello "you"'],
  ])('says %j as %j', async (answer, text) => {
    expect((await begin(scriptedChatModel([answer])).next([])).text).toBe(text);
  });

  it.each([0, -1, Number.NaN, '5'])('refuses %j as a deadline, before anybody is asked', (timeoutMs) => {
    const refused = {
      code: 'invalid-option',
      message: expect.stringContaining("modelBehaviour, option 'timeoutMs': expected a number above 0"),
    };
    expect(() => modelBehaviour({ model: scriptedChatModel([]), timeoutMs: timeoutMs as number })).toThrow(
      expect.objectContaining(refused),
    );
  });

  it('fails when the model says nothing', async () => {
    await expect(begin(scriptedChatModel(['User: ""'])).next([])).rejects.toMatchObject({ code: 'model-failed' });
  });

  it('hands on its seed, so that a dialogue can be repeated', async () => {
    const seeds = async () => {
      const model = scriptedChatModel(['Hello', 'Hm.']);
      const session = begin(model);
      await session.next([]);
      await session.next(dialogue);
      return model.requests.map(({ seed }) => seed);
    };
    const [first, second] = await seeds();
    expect(first).not.toBe(second);
    expect(await seeds()).toEqual([first, second]);
  });
});
