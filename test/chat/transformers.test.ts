import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { PersonalizedAgent } from '../../src/agent/index';
import { type ChatPart, transformersChat } from '../../src/chat/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { writeBigramModel } from './bigram-model';

const messages = [{ role: 'user', content: 'please sing' }] as const;
const options = { device: 'cpu', dtype: 'fp32' } as const;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rlpa-bigram-'));
  writeBigramModel(folder, ['row', 'your', 'boat', 'gently', 'down', 'the', 'stream']);
  writeBigramModel(join(folder, 'endless'), ['la', 'li'], 'la');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function collect(parts: AsyncIterable<ChatPart>): Promise<ChatPart[]> {
  const found: ChatPart[] = [];
  for await (const part of parts) found.push(part);
  return found;
}

describe('transformersChat', () => {
  it('generates by the chat template until the end of the text, and counts tokens', async () => {
    const model = transformersChat({ model: folder, ...options });
    // The prompt is <user> please sing <assistant>; the answer seven words and <end>.
    expect(await model.generate({ messages })).toEqual({
      text: 'row your boat gently down the stream',
      usage: { inputTokens: 4, outputTokens: 8 },
      finishReason: 'stop',
    });
    expect(model.stats).toEqual({ calls: 1, inputTokens: 4, outputTokens: 8, failures: {} });
  });

  it('streams words as they come', async () => {
    const parts = await collect(transformersChat({ model: folder, ...options }).stream({ messages }));
    const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
    expect(texts.length).toBeGreaterThan(3);
    expect(texts.join('')).toBe('row your boat gently down the stream');
    expect(parts.at(-1)).toMatchObject({ type: 'finish', text: texts.join(''), finishReason: 'stop' });
  });

  it('stops at a stop string, even at one that spans tokens, and leaves it out', async () => {
    const model = transformersChat({ model: folder, ...options });
    expect(await model.generate({ messages, stop: ['boat gen'] })).toMatchObject({ text: 'row your ', finishReason: 'stop' });
    const parts = await collect(model.stream({ messages, stop: ['never', ' down'] }));
    expect(parts.at(-1)).toMatchObject({ text: 'row your boat gently', finishReason: 'stop' });
    expect(parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('')).toBe('row your boat gently');
  });

  it('says when the token limit came first', async () => {
    const model = transformersChat({ model: folder, ...options, maxTokens: 2 });
    expect(await model.generate({ messages })).toMatchObject({ text: 'row your', usage: { outputTokens: 2 }, finishReason: 'length' });
    expect(await model.generate({ messages, maxTokens: 3 })).toMatchObject({ text: 'row your boat', finishReason: 'length' });
  });

  it('samples where a temperature is given, and takes the likeliest token at 0', async () => {
    const model = transformersChat({ model: folder, ...options });
    // All other words have a log-probability of -100: sampling takes the same path.
    expect((await model.generate({ messages, temperature: 0.7, topP: 0.9 })).text).toBe('row your boat gently down the stream');
    expect((await model.generate({ messages, temperature: 0 })).text).toBe('row your boat gently down the stream');
  });

  it('stops generating when the signal fires, at the deadline, and when the reader goes', async () => {
    const model = transformersChat({ model: join(folder, 'endless'), ...options, maxTokens: 1_000_000 });
    await model.load();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    await expect(model.generate({ messages, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    await expect(model.generate({ messages, timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' });
    for await (const _ of model.stream({ messages })) break;
    // One call at a time: this one runs only because the others have stopped.
    expect(await model.generate({ messages, maxTokens: 3 })).toMatchObject({ text: 'la li la' });
  });

  it('refuses a folder without a model, and says which', async () => {
    const missing = join(folder, 'missing');
    const model = transformersChat({ model: missing, ...options });
    await expect(model.load()).rejects.toMatchObject({ code: 'invalid-model', details: { model: missing } });
    await expect(model.generate({ messages })).rejects.toMatchObject({ code: 'invalid-model' });
  });

  it('names the package that is missing', async () => {
    vi.doMock('@huggingface/transformers', () => {
      throw new Error("Cannot find package '@huggingface/transformers'");
    });
    try {
      await expect(transformersChat({ model: folder }).load()).rejects.toMatchObject({
        code: 'missing-dependency',
        details: { package: '@huggingface/transformers' },
      });
    } finally {
      vi.doUnmock('@huggingface/transformers');
    }
  });

  it('is the model of an agent, from a local folder: it streams, learns, and leaves no trace of a turn that is aborted', async () => {
    const nurse = join(folder, 'nurse');
    // <profile>, - Occupation: nurse, </profile>, <response> … as the words of the story
    writeBigramModel(nurse, [
      '<profile>\n-',
      'Occupation:',
      'nurse\n</profile>\n\n<response>\nWas',
      'it',
      'a',
      'long',
      'shift?\n</response>',
    ]);
    const schema = ProfileSchema.define({ occupation: slot.one(z.string()) });
    const agent = new PersonalizedAgent({ schema, model: transformersChat({ model: nurse, ...options }) });
    const pieces: string[] = [];
    const message = 'I am a nurse.';
    for await (const part of agent.stream({ userId: 'u1', message })) if (part.type === 'reply') pieces.push(part.text);
    expect(pieces.join('')).toBe('Was it a long shift?');
    expect(pieces.length).toBeGreaterThan(2);
    expect(await agent.history('u1')).toMatchObject([{ slot: 'occupation', value: 'nurse', source: 'stated' }]);
    expect((await agent.respond({ userId: 'u1', message: 'Yes.' })).profile.values).toEqual({ occupation: 'nurse' });
    const controller = new AbortController();
    const aborted = (async () => {
      for await (const _ of agent.stream({ userId: 'u2', message, signal: controller.signal })) controller.abort();
    })();
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
    expect(await agent.export('u2')).toBeUndefined();
    expect((await agent.respond({ userId: 'u2', message })).reply).toBe('Was it a long shift?');
  });

  it.each([{ model: '' }, { maxTokens: 0 }, { concurrency: 0 }])('refuses %j', (refused) => {
    const [option, found] = Object.entries(refused)[0]!;
    expect(() => transformersChat({ model: 'x', ...refused })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringMatching(/^transformersChat, option /),
        details: { option, expected: expect.any(String), found },
      }),
    );
  });
});
