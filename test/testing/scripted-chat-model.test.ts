import { describe, expect, it } from 'vitest';
import type { ChatPart } from '../../src/chat/index';
import { scriptedChatModel } from '../../src/testing/index';

const messages = [{ role: 'user', content: 'Hello there' }] as const;

describe('scriptedChatModel', () => {
  it('says its lines in order and records what it was asked', async () => {
    const model = scriptedChatModel(['One.', 'Two words.']);
    expect((await model.generate({ messages })).text).toBe('One.');
    expect(await model.generate({ messages, temperature: 0 })).toEqual({
      text: 'Two words.',
      usage: { inputTokens: 2, outputTokens: 2 },
      finishReason: 'stop',
    });
    expect(model.requests.map((request) => request.temperature)).toEqual([undefined, 0]);
    await expect(model.generate({ messages })).rejects.toMatchObject({ code: 'model-failed' });
  });

  it('streams in chunks that add up to the text of the finish part', async () => {
    const model = scriptedChatModel(async (request) => `You said ${request.messages[0]!.content}.`, { chunkSize: 5 });
    const parts: ChatPart[] = [];
    for await (const part of model.stream({ messages })) parts.push(part);
    const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
    expect(texts[0]).toBe('You s');
    expect(texts.join('')).toBe('You said Hello there.');
    expect(parts.at(-1)).toMatchObject({ type: 'finish', text: 'You said Hello there.' });
  });

  it('ends a wait when the signal fires', async () => {
    const model = scriptedChatModel(() => new Promise<string>(() => {}));
    const controller = new AbortController();
    const answer = model.generate({ messages, signal: controller.signal });
    controller.abort();
    await expect(answer).rejects.toMatchObject({ code: 'aborted' });
  });
});
