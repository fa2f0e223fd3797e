import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { memoryStore, PersonalizedAgent, type ProfileStore } from '../../src/agent/index';
import { withLimits } from '../../src/chat/index';
import { scriptedChatModel } from '../../src/testing/index';
import { schema, turnText } from './fixtures';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** An agent over a store in which one thing takes half a minute. */
function agentWithSlow(method: keyof ProfileStore) {
  const store = memoryStore();
  const slow = async (...args: never[]) => {
    await new Promise((resolve) => setTimeout(resolve, 30_000));
    return (store[method] as (...given: never[]) => unknown)(...args);
  };
  const model = scriptedChatModel(() => turnText({ occupation: 'nurse' }, 'Hi'));
  return new PersonalizedAgent({ schema, model, store: { ...store, [method]: slow } });
}

type Call = (agent: ReturnType<typeof agentWithSlow>, limits: { timeoutMs: number }) => Promise<unknown>;

it.each<[string, keyof ProfileStore, Call]>([
  ['an erasure', 'erase', (agent, limits) => agent.erase('u1', limits)],
  ['an edit', 'save', (agent, limits) => agent.edit('u1', [{ op: 'set', slot: 'age', value: 40 }], limits)],
  ['a look at the profile', 'load', (agent, limits) => agent.profile('u1', limits)],
  ['a turn before its answer', 'load', (agent, limits) => agent.respond({ userId: 'u1', message: 'Hi', ...limits })],
])('%s waits for a slow store as long as it is given', async (_, method, call) => {
  const patient = call(agentWithSlow(method), { timeoutMs: 60_000 });
  const hurried = expect(call(agentWithSlow(method), { timeoutMs: 20_000 })).rejects.toMatchObject({ code: 'timeout' });
  await vi.advanceTimersByTimeAsync(60_000);
  await Promise.all([patient, hurried]);
});

it('a turn that has its answer gives a slow store ten seconds to take it', async () => {
  const turn = agentWithSlow('save').respond({ userId: 'u1', message: 'I am a nurse.' });
  await vi.advanceTimersByTimeAsync(10_000);
  await expect(turn).resolves.toMatchObject({ reply: 'Hi', problem: { code: 'not-stored' } });
});

it('a turn without a deadline asks its model without one', async () => {
  const model = scriptedChatModel([turnText({ occupation: 'nurse' }, 'Hi')]);
  const agent = new PersonalizedAgent({ schema, model: withLimits(model) });
  const { reply } = await agent.respond({ userId: 'u1', message: 'I am a nurse.', timeoutMs: Number.POSITIVE_INFINITY });
  expect(reply).toBe('Hi');
  expect(model.requests[0]!.timeoutMs).toBe(Number.POSITIVE_INFINITY);
});
