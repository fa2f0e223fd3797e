import { describe, expect, it } from 'vitest';
import type { ChatModel } from '../../src/chat/index';
import { RlpaError } from '../../src/errors';
import { chatPolicy } from '../../src/policy/chat-policy';
import { scriptedChatModel } from '../../src/testing/index';

const states = ['a', 'b'].map((dialogueId, seed) => ({ dialogueId, seed, messages: [{ role: 'user' as const, content: dialogueId }] }));

describe('chatPolicy', () => {
  it('asks for one action for each state, with its seed, and keeps their order', async () => {
    const model = scriptedChatModel(({ messages }) => `to ${messages[0]!.content}`);
    const actions = await chatPolicy(model, { temperature: 0.7, maxTokens: 9 }).act(states);
    expect(actions).toMatchObject([{ text: 'to a' }, { text: 'to b' }]);
    expect(model.requests).toMatchObject([
      { seed: 0, temperature: 0.7, maxTokens: 9 },
      { seed: 1, temperature: 0.7, maxTokens: 9 },
    ]);
  });

  it('asks with temperature 0 when it is to be greedy', async () => {
    const model = scriptedChatModel(() => '');
    await chatPolicy(model).act(states, { temperature: 0 });
    expect(model.requests.map((request) => request.temperature)).toEqual([0, 0]);
  });

  it('tells an output that the token limit cut off', async () => {
    const cut: ChatModel = {
      ...scriptedChatModel([]),
      generate: async () => ({ text: 'And', usage: { inputTokens: 1, outputTokens: 1 }, finishReason: 'length' }),
    };
    expect((await chatPolicy(cut).act(states))[0]).toEqual({
      text: 'And',
      usage: { inputTokens: 1, outputTokens: 1 },
      finishReason: 'length',
    });
  });

  it('gives the reason in the place of an answer that could not be had, and the other answers', async () => {
    const model = scriptedChatModel(({ messages }) => {
      if (messages[0]!.content === 'a') throw new RlpaError('timeout', 'too slow');
      return 'to b';
    });
    expect(await chatPolicy(model).act(states)).toMatchObject([{ name: 'RlpaError', code: 'timeout' }, { text: 'to b' }]);
  });

  it('fails as a whole when something is wrong with the model, or when it is told to stop', async () => {
    const missing = new RlpaError('missing-dependency', 'no such package');
    const broken: ChatModel = { ...scriptedChatModel([]), generate: () => Promise.reject(missing) };
    await expect(chatPolicy(broken).act(states)).rejects.toBe(missing);
    const signal = AbortSignal.abort();
    await expect(chatPolicy(scriptedChatModel(['x'])).act(states, { signal })).rejects.toMatchObject({ code: 'aborted' });
  });

  it('refuses limits that are not positive', () => {
    for (const options of [{ maxTokens: 0 }, { temperature: -1 }, { timeoutMs: Number.NaN }, { timeoutMs: '30000' as never }]) {
      expect(() => chatPolicy(scriptedChatModel([]), options)).toThrow(RlpaError);
    }
  });
});
