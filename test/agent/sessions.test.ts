import { describe, expect, it } from 'vitest';
import { PersonalizedAgent } from '../../src/agent/index';
import { scriptedChatModel } from '../../src/testing/index';
import { json, schema, turnJson } from './fixtures';

/** Notes what a message says the user is. */
function noting(options = {}) {
  const model = scriptedChatModel(({ messages }) => {
    const said = messages.at(-1)!.content;
    const value = /I am a (\w+)/.exec(said)?.[1];
    return turnJson(value ? [{ op: 'set', slot: 'occupation', value }] : [], `Reply to ${said}`);
  }, json);
  const agent = new PersonalizedAgent({ schema, model, ...options });
  const say = (message: string, sessionId?: string) => agent.respond({ userId: 'u1', message, sessionId });
  /** What of the conversation the model was shown last. */
  const shown = () =>
    model.requests
      .at(-1)!
      .messages.slice(1)
      .filter(({ role }) => role === 'user')
      .map(({ content }) => content);
  return { agent, say, shown };
}

describe('sessions', () => {
  it('share the profile and not the conversation', async () => {
    const { agent, say, shown } = noting();
    await say('I am a nurse', 'work');
    expect((await say('Hello', 'home')).sessionId).toBe('home');
    expect(shown()).toEqual(['Hello']);
    await say('Hello again', 'work');
    expect(shown()).toEqual(['I am a nurse', 'Hello again']);
    await say('And without a session');
    expect(shown()).toEqual(['And without a session']);
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
  });

  it('are all in an export, and gone with an erasure', async () => {
    const { agent, say } = noting();
    await say('I am a nurse', 'work');
    await say('Hello', 'home');
    expect((await agent.export('u1'))!.turns).toMatchObject([{ sessionId: 'work' }, { sessionId: 'home' }]);
    await agent.erase('u1');
    expect(await agent.export('u1')).toBeUndefined();
    expect((await say('Hello', 'work')).profile.size).toBe(0);
  });

  it('keep the latest turns each, and the sessions that were spoken in last', async () => {
    const { agent, say, shown } = noting({ maxHistory: 2, maxSessions: 2 });
    for (const [message, session] of [
      ['a1', 'a'],
      ['b1', 'b'],
      ['a2', 'a'],
      ['a3', 'a'],
      ['c1', 'c'],
    ] as const)
      await say(message, session);
    const kept = (await agent.export('u1'))!.turns.map(({ message }) => message);
    expect(kept).toEqual(['a2', 'a3', 'c1']);
    await say('b2', 'b');
    expect(shown()).toEqual(['b2']);
  });

  it('take evidence from their own messages alone', async () => {
    const model = scriptedChatModel([turnJson([], 'Hi'), turnJson([{ op: 'set', slot: 'occupation', value: 'nurse' }], 'Hi')], json);
    const agent = new PersonalizedAgent({ schema, model });
    await agent.respond({ userId: 'u1', sessionId: 'a', message: 'The nurse in me says hi' });
    const turn = await agent.respond({ userId: 'u1', sessionId: 'b', message: 'Guess' });
    expect(turn.changes).toMatchObject([{ source: 'inferred' }]);
    expect(turn.changes[0]!.evidence).toBeUndefined();
  });

  it('are refused without a name, or without a limit', async () => {
    const { agent } = noting();
    await expect(agent.respond({ userId: 'u1', message: 'Hi', sessionId: ' ' })).rejects.toMatchObject({ code: 'invalid-option' });
    expect(() => noting({ maxSessions: 0 })).toThrow(/maxSessions/);
  });
});
