import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PersonalizedAgent } from '../../src/agent/index';
import { type AiSdkCallOptions, type AiSdkChatOptions, type AiSdkLanguageModel, aiSdkChat, type ChatPart } from '../../src/chat/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { type OpenAIServer, type OpenAIServerOptions, startOpenAIServer } from '../chat/openai-server';
import { type ProviderOptions, versions } from './versions';

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'hello dear friend' },
] as const;

let server: OpenAIServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function collect(parts: AsyncIterable<ChatPart>) {
  const texts: string[] = [];
  for await (const part of parts) {
    if (part.type === 'finish') return { texts, finish: part };
    texts.push(part.text);
  }
  throw new Error('no finish part');
}

describe.each(versions)('aiSdkChat over a provider of $name', ({ name, open }) => {
  async function chat(serving: OpenAIServerOptions = {}, options: AiSdkChatOptions = {}, provider: ProviderOptions = {}) {
    server = await startOpenAIServer(serving);
    return aiSdkChat(open(server.url, provider).model, options);
  }
  const sent = () => server!.requests.at(-1)!.body;

  it('generates, and counts tokens', async () => {
    const model = await chat({ cachedTokens: 4 });
    // The server counts words: "Be brief." and "hello dear friend" are five, the answer three.
    const usage = { inputTokens: 5, outputTokens: 3, cachedInputTokens: 4 };
    expect(await model.generate({ messages })).toEqual({ text: 'HELLO DEAR FRIEND', usage, finishReason: 'stop' });
    expect(sent().messages).toEqual(messages);
    expect(model.name).toBe('test-model');
    expect(model.stats).toEqual({ calls: 1, ...usage, failures: {}, requests: 1, retries: 0 });
  });

  it('streams text as it comes, then the same result', async () => {
    const model = await chat({ cachedTokens: 4 });
    const { texts, finish } = await collect(model.stream({ messages }));
    expect(texts).toEqual(['HELLO DE', 'AR FRIEND']);
    expect(finish).toEqual({
      type: 'finish',
      text: 'HELLO DEAR FRIEND',
      usage: { inputTokens: 5, outputTokens: 3, cachedInputTokens: 4 },
      finishReason: 'stop',
    });
  });

  it('passes on what the request asks for', async () => {
    const model = await chat();
    await model.generate({ messages, temperature: 0.5, topP: 0.9, maxTokens: 7, stop: ['END'], seed: 3 });
    expect(sent()).toMatchObject({ temperature: 0.5, top_p: 0.9, max_tokens: 7, stop: ['END'], seed: 3 });
  });

  it('asks for JSON by a schema, unless the provider says that it has no such thing', async () => {
    const jsonSchema = { name: 'answer', schema: { type: 'object', properties: { reply: { type: 'string' } } } };
    const model = await chat({ answer: () => '{"reply":"hi"}' });
    expect(model.structuredOutput).toBe(true);
    await model.generate({ messages, jsonSchema });
    expect(sent().response_format).toMatchObject({ type: 'json_schema', json_schema: { name: 'answer', schema: jsonSchema.schema } });
    const plain = aiSdkChat(open(server!.url, { supportsStructuredOutputs: false }).model);
    expect(plain.structuredOutput).toBe(false);
    await plain.generate({ messages, jsonSchema });
    expect(sent().response_format).toBeUndefined();
    expect(aiSdkChat(open(server!.url, { supportsStructuredOutputs: false }).model, { structuredOutput: true }).structuredOutput).toBe(
      true,
    );
  });

  it.each([
    ['length', 'length'],
    ['content_filter', 'content-filter'],
    ['tool_calls', 'other'],
  ])('reads the finish reason %s', async (finishReason, expected) => {
    const model = await chat({ finishReason });
    expect((await model.generate({ messages })).finishReason).toBe(expected);
    expect((await collect(model.stream({ messages }))).finish.finishReason).toBe(expected);
  });

  it('estimates tokens where the provider reports none', async () => {
    const model = await chat({ usage: false });
    // 26 characters in, 17 out, four a token.
    expect((await model.generate({ messages })).usage).toEqual({ inputTokens: 7, outputTokens: 5 });
    expect((await collect(model.stream({ messages }))).finish.usage).toEqual({ inputTokens: 7, outputTokens: 5 });
  });

  it.each(['rate-limit', 'server-error'] as const)('repeats after a %s, as soon as the server asks', async (kind) => {
    const model = await chat({ fault: (_, index) => (index % 3 < 2 ? kind : undefined) });
    expect((await model.generate({ messages })).text).toBe('HELLO DEAR FRIEND');
    expect((await collect(model.stream({ messages }))).finish.text).toBe('HELLO DEAR FRIEND');
    expect(model.stats).toMatchObject({ calls: 2, requests: 6, retries: 4, failures: {} });
  });

  it('repeats so often and no more', async () => {
    const model = await chat({ fault: () => 'rate-limit' }, { maxRetries: 1 });
    await expect(model.generate({ messages })).rejects.toMatchObject({ code: 'model-rate-limited', details: { status: 429 } });
    expect(model.stats).toMatchObject({ requests: 2, retries: 1, failures: { 'model-rate-limited': 1 } });
  });

  it('reports at once what the server wants repeated after the deadline', async () => {
    const model = await chat({ fault: () => ({ kind: 'rate-limit', retryAfter: 100 }) });
    await expect(model.generate({ messages, timeoutMs: 5_000 })).rejects.toMatchObject({ code: 'model-rate-limited' });
    expect(model.stats.requests).toBe(1);
  });

  it('does not repeat what the server refuses, and says why without the key or the words', async () => {
    const apiKey = 'sk-very-secret';
    const model = await chat({ fault: () => ({ kind: 'refused', message: 'no such model' }) }, {}, { apiKey });
    const failure = await model.generate({ messages }).catch((error: Error) => error);
    expect(failure).toMatchObject({ code: 'model-failed', details: { status: 400, model: 'test-model' } });
    expect((failure as Error).message).toContain('no such model');
    expect(server!.requests[0]!.headers.authorization).toContain(apiKey);
    expect(inspected(failure)).not.toMatch(/very-secret|dear friend/);
    expect(model.stats.requests).toBe(1);
  });

  it.each(['generate', 'stream'] as const)('lets neither key nor words out when the server quotes both: %s', async (way) => {
    const apiKey = 'gsk_A1b2C3d4E5f6G7h8I9j0';
    const words = 'I was diagnosed with "asthma" on Monday.';
    const fault: OpenAIServerOptions['fault'] = ({ body, headers }) => ({
      kind: 'refused',
      message: `No ${JSON.stringify(body.messages)} for ${headers.authorization}, that is ${apiKey}.`,
    });
    const model = await chat({ fault }, {}, { apiKey });
    const request = { messages: [...messages, { role: 'user', content: words }] } as const;
    const failure = await (way === 'generate' ? model.generate(request) : collect(model.stream(request))).catch((error: Error) => error);
    expect((failure as Error).message).toContain('for Bearer [concealed]');
    expect((failure as Error).message).toContain('that is [concealed].');
    expect(inspected(failure)).not.toMatch(/A1b2|9j0|brief|friend|diagnosed|asthma|Monday/);
  });

  it('tells for how long the server wants to be left alone', async () => {
    const model = await chat({ fault: () => ({ kind: 'rate-limit', retryAfter: 30 }) }, { maxRetries: 0 });
    await expect(model.generate({ messages })).rejects.toMatchObject({ code: 'model-rate-limited', details: { retryAfterMs: 30_000 } });
  });

  it('says that nobody is there', async () => {
    const model = await chat({}, { maxRetries: 0 });
    await server!.close();
    await expect(model.generate({ messages })).rejects.toMatchObject({ code: 'model-unreachable' });
    await expect(collect(model.stream({ messages }))).rejects.toMatchObject({ code: 'model-unreachable' });
  });

  it.each(['slow', 'stalled'] as const)('keeps its deadline with a server that is %s', async (kind) => {
    const model = await chat({ fault: () => kind });
    await expect(model.generate({ messages, timeoutMs: 100 })).rejects.toMatchObject({ code: 'timeout' });
    await expect(collect(model.stream({ messages, timeoutMs: 100 }))).rejects.toMatchObject({ code: 'timeout' });
  });

  it('is aborted by its signal, also while it waits to repeat', async () => {
    const model = await chat({ fault: () => ({ kind: 'rate-limit', retryAfter: 20 }) });
    const controller = new AbortController();
    const waiting = model.generate({ messages, signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
    expect(model.stats.requests).toBe(1);
  });

  it.each(['cut-off', 'malformed-json'] as const)('fails with a stream that is %s', async (kind) => {
    const model = await chat({ fault: () => kind }, { maxRetries: 0 });
    await expect(collect(model.stream({ messages }))).rejects.toMatchObject({ code: expect.stringMatching(/^model-/) });
  });

  it.each(['ended', 'no-message'] as const)('tells a stream that is %s from one that stopped', async (kind) => {
    const model = await chat({ fault: () => kind }, { maxRetries: 0 });
    // V2 has the reason "unknown" for it, which is also what it makes of words that it does not know; later versions fail.
    if (name.startsWith('V2')) expect((await collect(model.stream({ messages }))).finish.finishReason).toBe('other');
    else await expect(collect(model.stream({ messages }))).rejects.toMatchObject({ code: 'model-failed' });
  });

  it('makes no more calls at a time than it may', async () => {
    const model = await chat({ answer: () => new Promise((resolve) => setTimeout(resolve, 20, 'ok')) }, { concurrency: 2 });
    await Promise.all(Array.from({ length: 6 }, () => model.generate({ messages })));
    expect(server!.peak).toBe(2);
  });

  it('is the model of an agent, whose profile and reply come from one structured answer', async () => {
    const answer = JSON.stringify({
      changes: [{ op: 'set', slot: 'occupation', value: 'nurse', evidence: 'I am a nurse' }],
      reply: 'How was the shift?',
    });
    const schema = ProfileSchema.define({ occupation: slot.one(z.string()) });
    const agent = new PersonalizedAgent({ schema, model: await chat({ answer: () => answer }) });
    const turn = await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    expect(turn).toMatchObject({ reply: 'How was the shift?', profile: { values: { occupation: 'nurse' } } });
    const replies: string[] = [];
    for await (const part of agent.stream({ userId: 'u2', message: 'I am a nurse.' })) if (part.type === 'reply') replies.push(part.text);
    expect(replies.join('')).toBe('How was the shift?');
    expect((await agent.profile('u2')).values.occupation).toBe('nurse');
  });
});

describe('aiSdkChat', () => {
  it('stops a model that ignores the signal from being read', async () => {
    let cancelled = false;
    const endless = {
      specificationVersion: 'v4',
      provider: 'test',
      modelId: 'endless',
      doGenerate: () => new Promise<never>(() => {}),
      doStream: async () => ({
        stream: new ReadableStream({
          pull: (controller) => {
            controller.enqueue({ type: 'text-delta', id: '1', delta: 'la ' });
            return new Promise((resolve) => setTimeout(resolve, 5));
          },
          cancel: () => {
            cancelled = true;
          },
        }),
      }),
    } satisfies AiSdkLanguageModel;
    const model = aiSdkChat(endless);
    for await (const _ of model.stream({ messages })) break;
    await expect.poll(() => cancelled).toBe(true);
    await expect(model.generate({ messages, timeoutMs: 20 })).rejects.toMatchObject({ code: 'timeout' });
    cancelled = false;
    await expect(collect(model.stream({ messages, timeoutMs: 20 }))).rejects.toMatchObject({ code: 'timeout' });
    await expect.poll(() => cancelled).toBe(true);
  });

  describe('asking by a JSON Schema', () => {
    async function callOf(provider: string, schema: Record<string, unknown>) {
      let call: AiSdkCallOptions | undefined;
      const model = {
        specificationVersion: 'v4',
        provider,
        modelId: 'test',
        async doGenerate(options: AiSdkCallOptions) {
          call = options;
          return { content: [{ type: 'text', text: '{}' }], finishReason: 'stop', usage: { inputTokens: 1, outputTokens: 1 } };
        },
        doStream: () => new Promise<never>(() => {}),
      } satisfies AiSdkLanguageModel;
      await aiSdkChat(model).generate({ messages, jsonSchema: { name: 'facts', schema } });
      return call!;
    }
    const schema = { type: 'object', properties: { age: { type: 'integer', minimum: 0 } }, required: ['age'] };
    const optional = { ...schema, required: [] };

    it.each(['openai.responses', 'openai.chat', 'azure.chat', 'azure.responses', 'azure-openai.chat'])(
      'sends %s its strict form',
      async (provider) => {
        const call = await callOf(provider, schema);
        const strict = { ...schema, properties: { age: { type: 'integer' } }, additionalProperties: false };
        expect(call.responseFormat).toEqual({ type: 'json', name: 'facts', schema: strict });
        expect(call.providerOptions).toBeUndefined();
      },
    );

    it.each([
      ['openai.responses', 'openai'],
      ['azure.chat', 'azure'],
    ])('has %s not be strict with one that has no strict form', async (provider, name) => {
      const call = await callOf(provider, optional);
      expect(call.responseFormat).toEqual({ type: 'json', name: 'facts', schema: optional });
      expect(call.providerOptions?.[name]).toEqual({ strictJsonSchema: false });
    });

    it.each(['anthropic.messages', 'loopback.chat', 'openaiish.chat', 'openai-proxy.chat', 'azure-ai.chat'])(
      'sends %s what it is given',
      async (provider) => {
        for (const given of [schema, optional]) {
          const call = await callOf(provider, given);
          expect(call.responseFormat).toEqual({ type: 'json', name: 'facts', schema: given });
          expect(call.providerOptions).toBeUndefined();
        }
      },
    );
  });

  it.each([
    ['the name of a model', 'openai/gpt-4o-mini', "option 'model': expected a language model of the AI SDK, found 'openai/gpt-4o-mini'."],
    [
      'a model of AI SDK 4',
      { specificationVersion: 'v1', doGenerate() {}, doStream() {} },
      "option 'model.specificationVersion': expected 'v2', 'v3' or 'v4', found 'v1'.",
    ],
    [
      'an embedding model',
      { specificationVersion: 'v4', doEmbed() {} },
      "option 'model': expected a language model of the AI SDK, found an object.",
    ],
    ['nothing', undefined, "option 'model': expected a language model of the AI SDK, found nothing."],
  ])('refuses %s', (_, model, problem) => {
    const message = `aiSdkChat, ${problem}`;
    expect(() => aiSdkChat(model as never)).toThrow(expect.objectContaining({ code: 'invalid-option', message }));
  });

  it.each([{ maxRetries: -1 }, { maxRetries: 0.5 }, { concurrency: 0 }, { timeoutMs: 0 }])('refuses %j', (options) => {
    const { model } = versions[2]!.open('http://127.0.0.1:1/v1');
    const [[option, found]] = Object.entries(options) as [[string, number]];
    expect(() => aiSdkChat(model, options)).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: { option, expected: expect.any(String), found } }),
    );
  });
});

/** All that a log could show of an error. */
function inspected(error: unknown): string {
  const { message, stack, details, cause } = error as Error & { details?: unknown };
  return JSON.stringify({ message, stack, details, cause });
}
