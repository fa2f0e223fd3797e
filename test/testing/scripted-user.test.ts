import { describe, expect, it } from 'vitest';
import { PersonalizedAgent } from '../../src/agent/index';
import { DialogueEnvironment } from '../../src/environment/index';
import { formatTurn, ProfileSchema } from '../../src/profile/index';
import { DualReward } from '../../src/reward/index';
import { SimulatedUser } from '../../src/simulation/index';
import { fakeClock, scriptedChatModel, scriptedUser } from '../../src/testing/index';

const schema = ProfileSchema.standard;
const answer = (reply: string) => formatTurn(schema.empty(), reply);

describe('scriptedUser', () => {
  it('says its messages to an agent, one after the other, and gives back the turns', async () => {
    const model = scriptedChatModel([answer('One'), answer('Two')]);
    const turns = await scriptedUser(['Hello', 'Bye']).talkTo(new PersonalizedAgent({ schema, model }), { userId: 'u1', sessionId: 's' });
    expect(turns.map(({ reply, sessionId }) => [reply, sessionId])).toEqual([
      ['One', 's'],
      ['Two', 's'],
    ]);
    expect(model.requests[1]!.messages.slice(1).map(({ content }) => content)).toEqual(['Hello', answer('One'), 'Bye']);
  });

  it('answers what it hears', async () => {
    const model = scriptedChatModel([answer('Tea?'), answer('Here you are.')]);
    const user = scriptedUser((dialogue) => (dialogue.length === 0 ? 'Hello' : dialogue.at(-1)!.content === 'Tea?' ? 'Yes' : undefined));
    expect(await user.talkTo(new PersonalizedAgent({ schema, model }), { userId: 'u1' })).toHaveLength(2);
  });

  it('is a behaviour for an environment, whose dialogue ends with its last message', async () => {
    const policy = {
      name: 'polite',
      act: async (states: readonly unknown[]) =>
        states.map(() => ({ text: answer('I see.'), finishReason: 'stop' as const, usage: { inputTokens: 1, outputTokens: 1 } })),
    };
    const user = new SimulatedUser({ behaviour: scriptedUser(['Hello', 'So long']) });
    const environment = new DialogueEnvironment({ schema, user, reward: new DualReward(), maxTurns: 5 });
    const [episode] = await environment.rollout({
      policy,
      personas: [{ id: 'p', profile: schema.profile({ occupation: 'nurse' }) }],
      seed: 1,
    });
    expect(episode!.turns.map((turn) => turn.userMessage)).toEqual(['Hello', 'So long']);
  });
});

describe('fakeClock', () => {
  it('stands still until it is moved', () => {
    const clock = fakeClock('2026-01-31T23:00:00Z');
    const first = clock.now();
    clock.advance(2 * 60 * 60 * 1000);
    expect(clock.now().toISOString()).toBe('2026-02-01T01:00:00.000Z');
    expect(first.toISOString()).toBe('2026-01-31T23:00:00.000Z');
    clock.set('2027-01-01T00:00:00Z');
    expect(clock.now().getTime() - first.getTime()).toBe(334 * 24 * 3600_000 + 3600_000); // February to December 2026, and an hour
  });

  it('is set to dates only', () => {
    expect(() => fakeClock('tomorrow')).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    expect(() => fakeClock().advance(Number.NaN)).toThrow(/date/);
  });
});
