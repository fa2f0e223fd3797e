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
    expect(actions.map((action) => action.text)).toEqual(['to a', 'to b']);
    expect(model.requests).toMatchObject([
      { seed: 0, temperature: 0.7, maxTokens: 9 },
      { seed: 1, temperature: 0.7, maxTokens: 9 },
    ]);
  });

  it('asks with temperature 0 when it is to be greedy', async () => {
    const model = scriptedChatModel(() => '');
    await chatPolicy(model).act(states, { greedy: true });
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

  it('passes on why the model could not answer, and that it was told to stop', async () => {
    await expect(chatPolicy(scriptedChatModel([])).act(states)).rejects.toMatchObject({ code: 'model-failed' });
    const signal = AbortSignal.abort();
    await expect(chatPolicy(scriptedChatModel(['x'])).act(states, { signal })).rejects.toMatchObject({ code: 'aborted' });
  });

  it('refuses limits that are not positive', () => {
    for (const options of [{ maxTokens: 0 }, { temperature: -1 }, { timeoutMs: Number.NaN }]) {
      expect(() => chatPolicy(scriptedChatModel([]), options)).toThrow(RlpaError);
    }
  });
});
