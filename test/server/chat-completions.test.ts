import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { memoryStore, PersonalizedAgent } from '../../src/agent/index';
import { RlpaError } from '../../src/errors';
import type { LocalPolicy } from '../../src/policy/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import type { RlpaField } from '../../src/server/index';
import { scriptedChatModel } from '../../src/testing/index';
import { microPolicy, warmWeights } from '../integration/micro-policy';
import { clientOf, closeAll, heldModel, serve, servePolicy, until } from './served';

const nurse = '<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nHow was the ward?\n</response>';
const jazz = '<profile>\n- Occupation: nurse\n- Interests: jazz\n</profile>\n\n<response>\nWhich records?\n</response>';
const user = (content: string) => ({ role: 'user', content }) as const;
/** The extension field, which the client's types do not know. */
const rlpa = (message: object) => (message as { rlpa: RlpaField }).rlpa;

afterEach(closeAll);

describe('a chat completion', () => {
  it('is the reply, with the profile, its changes with their evidence, and the usage', async () => {
    const { client } = await serve({ model: scriptedChatModel([nurse]) });
    const completion = await client.chat.completions.create({ model: 'test', messages: [user('I am a nurse.')], user: 'u1' });
    expect(completion).toMatchObject({ object: 'chat.completion', model: 'test' });
    expect(completion.id).toMatch(/^chatcmpl-/);
    expect(Math.abs(completion.created - Date.now() / 1000)).toBeLessThan(60);
    const [choice] = completion.choices;
    expect(choice).toMatchObject({ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'How was the ward?' } });
    const field = rlpa(choice!.message);
    expect(field.profile).toEqual({ occupation: 'nurse' });
    expect(field.stored).toBe(true);
    expect(field.changes).toMatchObject([{ op: 'set', slot: 'occupation', value: 'nurse', source: 'stated' }]);
    expect(field.changes[0]!.evidence).toMatchObject({ messageId: field.messageId, text: 'nurse', start: 7, end: 12 });
    // the scripted model counts words: those of its answer are Occupation, nurse, How, was, the, ward and the tags
    const { prompt_tokens, completion_tokens, total_tokens } = completion.usage!;
    expect(completion_tokens).toBeGreaterThanOrEqual(6);
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
  });

  it('streams the reply, and tells profile and usage at its end', async () => {
    const { client } = await serve({ model: scriptedChatModel([nurse], { chunkSize: 3 }) });
    const stream = await client.chat.completions.create({
      model: 'test',
      messages: [user('I am a nurse.')],
      user: 'u1',
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.Chat.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    expect(deltas[0]).toMatchObject({ role: 'assistant' });
    expect(deltas.filter(({ content }) => content).length).toBeGreaterThan(3);
    expect(deltas.map(({ content }) => content ?? '').join('')).toBe('How was the ward?');
    const finish = chunks.at(-2)!.choices[0]!;
    expect(finish.finish_reason).toBe('stop');
    expect(rlpa(finish.delta).profile).toEqual({ occupation: 'nurse' });
    expect(chunks.at(-1)!.choices).toEqual([]);
    expect(chunks.at(-1)!.usage!.completion_tokens).toBeGreaterThanOrEqual(6);
    expect(chunks.slice(0, -1).map(({ usage }) => usage)).toEqual(chunks.slice(0, -1).map(() => null));
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it('is put together by the client’s own stream helper, extension field included', async () => {
    const { client } = await serve({ model: scriptedChatModel([nurse]) });
    const stream = client.chat.completions.stream({ model: 'test', messages: [user('I am a nurse.')], user: 'u1' });
    const message = (await stream.finalChatCompletion()).choices[0]!.message;
    expect(message.content).toBe('How was the ward?');
    expect(rlpa(message).profile).toEqual({ occupation: 'nurse' });
  });

  it('reads content in parts, and hands sampling options to the model', async () => {
    const model = scriptedChatModel([nurse]);
    const { client } = await serve({ model });
    await client.chat.completions.create({
      model: 'test',
      messages: [
        { role: 'developer', content: 'You work for a book shop.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'I am ' },
            { type: 'text', text: 'a nurse.' },
          ],
        },
      ],
      temperature: 0.5,
      top_p: 0.9,
      max_completion_tokens: 70,
      seed: 3,
    });
    const [request] = model.requests;
    expect(request).toMatchObject({ temperature: 0.5, topP: 0.9, maxTokens: 70, seed: 3 });
    expect(request!.messages[0]!.content).toContain('You work for a book shop.');
    expect(request!.messages.at(-1)).toMatchObject({ role: 'user', content: 'I am a nurse.' });
  });
});

describe('finish_reason', () => {
  const profile = '<profile>\n- Occupation: nurse\n</profile>';
  const cutOff = `${profile}\n\n<response>\nOnce upon a ti`;
  it.each([
    ['length: the reply was cut off, and only its profile was asked for again', [cutOff, 'length'], [profile, 'stop'], 'length'],
    ['stop: the first answer was cut off before its reply', ['<profile>', 'length'], [nurse, 'stop'], 'stop'],
    ['length: neither answer has a reply', ['<profile>', 'length'], ['<profile>', 'stop'], 'length'],
  ] as const)('is %s', async (_, first, second, expected) => {
    const usage = { inputTokens: 1, outputTokens: 1 };
    const answers = [first, second, first, second];
    const generate = async () => {
      const [text, finishReason] = answers.shift()!;
      return { text, finishReason, usage };
    };
    async function* stream() {
      const result = await generate();
      yield { type: 'text', text: result.text } as const;
      yield { type: 'finish', ...result } as const;
    }
    const { client } = await serve({ model: { name: 'test', structuredOutput: false, generate, stream } });
    const request = { model: 'test', messages: [user('I am a nurse. Tell me a story.')] };
    expect((await client.chat.completions.create(request)).choices[0]!.finish_reason).toBe(expected);
    const reasons: (string | null)[] = [];
    for await (const { choices } of await client.chat.completions.create({ ...request, stream: true }))
      reasons.push(choices[0]!.finish_reason);
    expect(reasons.filter(Boolean)).toEqual([expected]);
  });
});

describe('users', () => {
  it('are told apart, and remembered from request to request without being told again', async () => {
    const model = scriptedChatModel([nurse, jazz, '<profile>\n</profile>\n\n<response>\nHello.\n</response>']);
    const { client } = await serve({ model });
    const ask = async (name: string, content: string) => {
      const completion = await client.chat.completions.create({ model: 'test', messages: [user(content)], user: name });
      return rlpa(completion.choices[0]!.message).profile;
    };
    expect(await ask('u1', 'I am a nurse.')).toEqual({ occupation: 'nurse' });
    expect(await ask('u1', 'I like jazz.')).toEqual({ occupation: 'nurse', interests: ['jazz'] });
    expect(await ask('u2', 'Hello!')).toEqual({});
    expect(model.requests[1]!.messages.map(({ content }) => content)).toContain('I am a nurse.');
    expect(JSON.stringify(model.requests[2]!.messages)).not.toContain('nurse.');
  });

  it('have sessions: each has its own conversation, and all have one profile', async () => {
    const model = scriptedChatModel([nurse, jazz, jazz]);
    const { client } = await serve({ model });
    const ask = async (sessionId: string, content: string) => {
      const body = { model: 'test', messages: [user(content)], rlpa: { userId: 'u1', sessionId } };
      return rlpa((await client.chat.completions.create(body)).choices[0]!.message).profile;
    };
    await ask('monday', 'I am a nurse.');
    expect(await ask('tuesday', 'I like jazz.')).toEqual({ occupation: 'nurse', interests: ['jazz'] });
    await ask('monday', 'Hello again.');
    const read = model.requests.map(({ messages }) => messages.filter(({ role }) => role === 'user').map(({ content }) => content));
    expect(read).toEqual([['I am a nurse.'], ['I like jazz.'], ['I am a nurse.', 'Hello again.']]);
  });

  it('may be named in the extension field, with consent to sensitive slots', async () => {
    const schema = ProfileSchema.define({ health: slot.one(z.string(), { sensitive: true }) });
    const answer = '<profile>\n- Health: diabetes\n</profile>\n\n<response>\nI see.\n</response>';
    const store = memoryStore();
    const { client } = await serve({ schema: schema as never, model: scriptedChatModel(() => answer), store });
    const ask = async (extension: object) => {
      const body = { model: 'test', messages: [user('I have diabetes.')], rlpa: { userId: 'u1', ...extension } };
      return rlpa((await client.chat.completions.create(body)).choices[0]!.message);
    };
    const refused = await ask({});
    expect(refused.profile).toEqual({});
    expect(refused.rejected).toMatchObject([{ slot: 'health' }]);
    expect((await ask({ consent: ['health'] })).profile).toEqual({ health: 'diabetes' });
    const agent = new PersonalizedAgent({ schema, model: scriptedChatModel([]), store });
    expect((await agent.profile('u1')).values.health).toBe('diabetes');
    // what was consented to then is not told now
    for (const field of [refused, await ask({})]) expect(JSON.stringify(field)).not.toContain('diabetes');
  });

  it.each(['known', 'new'])(
    'who are %s and are erased by an agent over the same store during a turn are not brought back',
    async (known) => {
      const store = memoryStore();
      const { model, release } = heldModel(nurse);
      const { client } = await serve({ model, store });
      const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: scriptedChatModel([]), store });
      if (known === 'known') await agent.edit('u1', [{ op: 'set', slot: 'age', value: 29 }]);
      const completing = client.chat.completions.create({ model: 'test', messages: [user('I am a nurse.')], user: 'u1' });
      await until(() => model.requests.length > 0, 'the model is asked');
      expect(await agent.erase('u1')).toBe(known === 'known');
      release();
      const { message } = (await completing).choices[0]!;
      expect(message.content).toBe('How was the ward?');
      expect(rlpa(message)).toMatchObject({ stored: false, changes: [], problem: { code: 'not-stored' } });
      expect(await store.load('u1')).toBeUndefined();
    },
  );

  it('who are not named leave no trace: the messages are all there is', async () => {
    const kept = memoryStore();
    const save = vi.fn(kept.save);
    const store = { ...kept, save };
    const model = scriptedChatModel([nurse, jazz]);
    const { client } = await serve({ model, store });
    const first = await client.chat.completions.create({ model: 'test', messages: [user('I am a nurse.')] });
    expect(rlpa(first.choices[0]!.message)).toMatchObject({ profile: { occupation: 'nurse' }, stored: false });
    const second = await client.chat.completions.create({
      model: 'test',
      messages: [user('I am a nurse.'), first.choices[0]!.message, user('I like jazz.')],
    });
    const field = rlpa(second.choices[0]!.message);
    expect(field.profile).toEqual({ occupation: 'nurse', interests: ['jazz'] });
    // what the message that was sent back says is known already
    expect(field.changes).toMatchObject([{ op: 'add', slot: 'interests', value: 'jazz' }]);
    expect(model.requests[1]!.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user']);
    expect(save).not.toHaveBeenCalled();
  });

  it('may send a profile back only as far as the schema takes it', async () => {
    const { client } = await serve({ model: scriptedChatModel([nurse]) });
    const sent = { role: 'assistant', content: 'Hello.', rlpa: { profile: { location: 'Oslo', age: 'old', nonsense: true } } } as const;
    const completion = await client.chat.completions.create({ model: 'test', messages: [user('Hi!'), sent, user('I am a nurse.')] });
    expect(rlpa(completion.choices[0]!.message).profile).toEqual({ location: 'Oslo', occupation: 'nurse' });
  });
});

describe('a trained policy behind the server', () => {
  let weights: Awaited<ReturnType<typeof warmWeights>>;
  let policy: LocalPolicy;
  beforeAll(async () => {
    weights = await warmWeights();
    policy = microPolicy({ weights, seed: 1 });
  });
  afterAll(() => policy.dispose());

  it('says the same as the agent says without a server', async () => {
    const { client } = await servePolicy(policy);
    const message = 'I really like hiking.';
    const completion = await client.chat.completions.create({ model: 'test', messages: [user(message)], temperature: 0 });
    const direct = await policy.asChatModel().generate({
      messages: [{ role: 'system', content: 'Get to know the user.' }, user(message)],
      temperature: 0,
    });
    const { content } = completion.choices[0]!.message;
    expect(content!.length).toBeGreaterThan(0);
    expect(direct.text).toContain(content);
    // the same prompt once more, whose last token alone is read
    expect(direct.usage.cachedInputTokens).toBe(direct.usage.inputTokens - 1);
    expect(completion.usage).toEqual({
      prompt_tokens_details: { cached_tokens: expect.any(Number) },
      prompt_tokens: direct.usage.inputTokens,
      completion_tokens: direct.usage.outputTokens,
      total_tokens: direct.usage.inputTokens + direct.usage.outputTokens,
    });
  });

  it('says how much of a dialogue that goes on it has not read anew', async () => {
    const { client } = await servePolicy(policy);
    const ask = async (content: string) => {
      const { usage } = await client.chat.completions.create({ model: 'test', messages: [user(content)], user: 'reader', temperature: 0 });
      return { prompt: usage!.prompt_tokens, cached: usage!.prompt_tokens_details!.cached_tokens! };
    };
    const first = await ask('I live in a village near the mountains and I really like hiking.');
    const second = await ask('And you?');
    expect(second.cached).toBeGreaterThanOrEqual(first.prompt);
    expect(second.cached).toBeLessThan(second.prompt);
  });

  it('serves many at once from one batch', async () => {
    const { client } = await servePolicy(policy);
    const ask = (i: number) =>
      client.chat.completions.create({ model: 'test', messages: [user('I like hiking.')], user: `u${i}`, seed: i });
    await ask(0);
    const before = policy.sampling;
    await Promise.all(Array.from({ length: 16 }, (_, i) => ask(i + 1)));
    const { tokens, steps } = policy.sampling;
    expect((tokens - before.tokens) / (steps - before.steps)).toBeGreaterThan(3);
  });

  it.each([true, false])('stops generating when the client goes away (stream: %s)', async (stream) => {
    // at temperature 0 an untrained policy does not come to an end by itself
    const endless = microPolicy({ seed: 1, maxNewTokens: 450 });
    const { client, records, server } = await servePolicy(endless);
    const controller = new AbortController();
    const request = client.chat.completions.create(
      { model: 'test', messages: [user('I like hiking.')], user: 'u1', temperature: 0, stream },
      { signal: controller.signal },
    );
    request.catch(() => {});
    await until(() => endless.sampling.tokens > 5, 'it generates');
    controller.abort();
    await until(() => endless.sampling.running === 0, 'the policy is idle');
    const { tokens } = endless.sampling;
    expect(tokens).toBeLessThan(400);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(endless.sampling.tokens).toBe(tokens);
    await until(() => records.length === 1, 'the request is over');
    expect(records[0]).toMatchObject({ left: true });
    expect(server.counters).toEqual({ running: 0, waiting: 0 });
    await endless.dispose();
  });

  it('ends with finish_reason length at the limit of tokens', async () => {
    const { client } = await servePolicy(policy);
    const completion = await client.chat.completions.create({ model: 'test', messages: [user('I like hiking.')], max_tokens: 3 });
    expect(completion.choices[0]!.finish_reason).toBe('length');
    expect(completion.usage!.completion_tokens).toBe(3);
    expect(rlpa(completion.choices[0]!.message).problem).toBeDefined();
  });

  it('goes on with fewer earlier turns when a stored conversation outgrows it, and refuses a message that does so alone', async () => {
    const { client } = await servePolicy(policy);
    const ask = (content: string) =>
      client.chat.completions.create({ model: 'test', messages: [user(content)], user: 'talker', temperature: 0 });
    const sizes: number[] = [];
    for (let turn = 0; turn < 8; turn++) sizes.push((await ask('I like hiking, jazz and cooking. '.repeat(3))).usage!.prompt_tokens);
    // the model reads 512 tokens
    expect(Math.max(...sizes)).toBeLessThan(512);
    expect(sizes.some((size, turn) => turn > 0 && size <= sizes[turn - 1]!)).toBe(true);
    await expect(ask('I like hiking. '.repeat(200))).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });
});

describe('errors', () => {
  it('have the class, code and parameter that the client knows', async () => {
    const { client, server } = await serve({ model: scriptedChatModel([nurse]), token: 'correct-horse' });
    const messages = [user('Hi!')];
    const create = (body: object, asking = client) => asking.chat.completions.create({ model: 'test', messages, ...body } as never);
    await expect(create({ model: 'gpt-5' })).rejects.toThrow(OpenAI.NotFoundError);
    await expect(create({ model: 'gpt-5' })).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    await expect(create({}, clientOf(server, 'wrong-horse'))).rejects.toThrow(OpenAI.AuthenticationError);
    const invalid: [object, string | undefined][] = [
      [{ messages: [] }, 'messages'],
      [{ messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
      [{ messages: [{ role: 'user', content: '  ' }] }, 'messages[0].content'],
      [{ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }, 'messages[0].content'],
      [{ messages: [...messages, { role: 'assistant', content: 'Hello.' }] }, 'messages'],
      [{ messages: [{ role: 'tool', content: 'x', tool_call_id: 'y' }] }, 'messages[0].role'],
      [{ temperature: 3 }, 'temperature'],
      [{ top_p: 0 }, 'top_p'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ seed: 1.5 }, 'seed'],
      [{ n: 2 }, 'n'],
      [{ stop: ['\n'] }, 'stop'],
      [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
      [{ response_format: { type: 'json_object' } }, 'response_format'],
      [{ rlpa: { userId: 'u1', admin: true } }, 'rlpa'],
      [{ user: '' }, 'user'],
    ];
    for (const [body, param] of invalid) {
      await expect(create(body), JSON.stringify(body)).rejects.toThrow(OpenAI.BadRequestError);
      await expect(create(body), JSON.stringify(body)).rejects.toMatchObject({ status: 400, type: 'invalid_request_error', param });
    }
  });

  it('of a model that fails do not show what it said', async () => {
    const model = scriptedChatModel(() => {
      throw new Error('secret detail');
    });
    const { client, records } = await serve({ model });
    const error = await client.chat.completions.create({ model: 'test', messages: [user('Hi!')] }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(JSON.stringify(error)).not.toContain('secret');
    expect(records).toMatchObject([{ status: 500, code: 'model_failed' }]);
  });

  it.each([
    ['what the model asks for, in whole seconds', 'model-rate-limited', { retryAfterMs: 29_500 }, '30'],
    ['five seconds, where the model does not say', 'model-rate-limited', {}, '5'],
    ['five seconds, where the budget is used up', 'budget-exceeded', {}, '5'],
  ] as const)('of a model at its limit say when to come back: %s', async (_, code, details, seconds) => {
    const model = scriptedChatModel(() => {
      throw new RlpaError(code, 'Not now.', details);
    });
    const { client } = await serve({ model });
    const error = await client.chat.completions.create({ model: 'test', messages: [user('Hi!')] }).catch((thrown) => thrown);
    expect(error).toMatchObject({ status: 429, code: 'model_limit' });
    expect(error.headers.get('retry-after')).toBe(seconds);
  });

  it('come as an event where the stream has begun', async () => {
    const model = scriptedChatModel([]);
    async function* stream() {
      yield { type: 'text', text: '<profile>\n</profile>\n\n<response>\nHello there' } as const;
      throw new Error('The device caught fire.');
    }
    const { client, records } = await serve({ model: { ...model, stream } });
    const parts = await client.chat.completions.create({ model: 'test', messages: [user('Hi!')], stream: true });
    let said = '';
    const reading = (async () => {
      for await (const { choices } of parts) said += choices[0]?.delta.content ?? '';
    })();
    await expect(reading).rejects.toMatchObject({ error: { type: 'server_error', code: 'model_failed' } });
    expect(said).toContain('Hello');
    await until(() => records.length === 1, 'the request is over');
    expect(records[0]).toMatchObject({ status: 200, code: 'model_failed' });
  });

  it('say that a turn took too long', async () => {
    const { model, release } = heldModel(nurse);
    const { client } = await serve({ model, timeoutMs: 60 });
    const asking = client.chat.completions.create({ model: 'test', messages: [user('Hi!')] });
    await expect(asking).rejects.toMatchObject({ status: 504, code: 'timeout' });
    release();
  });
});

describe('the model list', () => {
  it('has the one model, which can be looked up', async () => {
    const { client } = await serve({ model: scriptedChatModel([]), modelName: 'me/policy 1' });
    const models = await client.models.list();
    expect(models.data).toMatchObject([{ id: 'me/policy 1', object: 'model', owned_by: 'rlpa' }]);
    expect(await client.models.retrieve('me/policy 1')).toEqual(models.data[0]);
    await expect(client.models.retrieve('another')).rejects.toThrow(OpenAI.NotFoundError);
  });
});
