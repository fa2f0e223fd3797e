import { afterEach, describe, expect, it, vi } from 'vitest';
import { type ChatPart, type OpenAIChatOptions, openAIChat } from '../../src/chat/index';
import { RlpaError } from '../../src/errors';
import { type Fault, type OpenAIServer, type OpenAIServerOptions, startOpenAIServer } from './openai-server';
import { strictRefusal } from './openai-strict';

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hello there friend' },
] as const;

const servers: OpenAIServer[] = [];

async function start(server: OpenAIServerOptions = {}, options: Partial<OpenAIChatOptions> = {}) {
  const started = await startOpenAIServer(server);
  servers.push(started);
  return { server: started, model: openAIChat({ model: 'tiny', baseURL: started.url, ...options }) };
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function collect(parts: AsyncIterable<ChatPart>): Promise<ChatPart[]> {
  const found: ChatPart[] = [];
  for await (const part of parts) found.push(part);
  return found;
}

async function errorOf(work: Promise<unknown>): Promise<RlpaError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!RlpaError.isInstance(error)) throw new Error(`expected an RlpaError, found ${error}`);
  return error;
}

/** Both ways to ask, for what must hold of either. */
const ways = [
  ['generate', (model: ReturnType<typeof openAIChat>, request: Parameters<typeof model.generate>[0]) => model.generate(request)],
  ['stream', (model: ReturnType<typeof openAIChat>, request: Parameters<typeof model.generate>[0]) => collect(model.stream(request))],
] as const;

describe('openAIChat', () => {
  it('generates, with usage and finish reason', async () => {
    const { model } = await start();
    expect(await model.generate({ messages })).toEqual({
      text: 'HELLO THERE FRIEND',
      usage: { inputTokens: 5, outputTokens: 3 },
      finishReason: 'stop',
    });
    expect(model.stats).toEqual({ calls: 1, requests: 1, retries: 0, inputTokens: 5, outputTokens: 3, failures: {} });
  });

  it('streams the text in parts and ends with the whole of it and the usage', async () => {
    const { model, server } = await start();
    expect(await collect(model.stream({ messages }))).toEqual([
      { type: 'text', text: 'HELLO THE' },
      { type: 'text', text: 'RE FRIEND' },
      { type: 'finish', text: 'HELLO THERE FRIEND', usage: { inputTokens: 5, outputTokens: 3 }, finishReason: 'stop' },
    ]);
    expect(server.requests[0]!.body.stream_options).toEqual({ include_usage: true });
    expect(model.stats).toMatchObject({ inputTokens: 5, outputTokens: 3 });
  });

  it.each(ways)('tells by %s what of the prompt was read before, where the server says so', async (_, ask) => {
    const { model } = await start({ cachedTokens: 4 });
    const answer = await ask(model, { messages });
    const { usage } = Array.isArray(answer) ? (answer.at(-1) as Extract<ChatPart, { type: 'finish' }>) : answer;
    expect(usage).toEqual({ inputTokens: 5, outputTokens: 3, cachedInputTokens: 4 });
  });

  it('sends what the request says, and never the token ids of a message', async () => {
    const { model, server } = await start();
    const said = { role: 'assistant', content: 'Hi.', tokens: [1, 2] } as const;
    await model.generate({ messages: [...messages, said, messages[1]], temperature: 0.5, topP: 0.9, maxTokens: 7, stop: ['\n'], seed: 3 });
    expect(server.requests[0]!.body).toEqual({
      model: 'tiny',
      messages: [...messages, { role: 'assistant', content: 'Hi.' }, messages[1]],
      temperature: 0.5,
      top_p: 0.9,
      max_tokens: 7,
      stop: ['\n'],
      seed: 3,
    });
  });

  it('asks for JSON by a schema, unless the server is said not to know it', async () => {
    const jsonSchema = { name: 'verdict', schema: { type: 'object' } };
    const { model, server } = await start();
    await model.generate({ messages, jsonSchema });
    expect(model.structuredOutput).toBe(true);
    expect(server.requests[0]!.body.response_format).toEqual({ type: 'json_schema', json_schema: jsonSchema });

    const plain = openAIChat({ model: 'tiny', baseURL: server.url, structuredOutput: false });
    await plain.generate({ messages, jsonSchema });
    expect(plain.structuredOutput).toBe(false);
    expect(server.requests[1]!.body.response_format).toBeUndefined();
  });

  it.each([
    ['length', 'length'],
    ['content_filter', 'content-filter'],
    ['tool_calls', 'other'],
  ])('gives the finish reason %s as %s', async (finishReason, expected) => {
    const { model } = await start({ finishReason });
    expect((await model.generate({ messages })).finishReason).toBe(expected);
    expect((await collect(model.stream({ messages }))).at(-1)).toMatchObject({ finishReason: expected });
  });

  it.each(ways)('estimates the usage at four characters a token where the server sends none: %s', async (_, ask) => {
    const { model } = await start({ usage: false });
    await ask(model, { messages });
    // 'Be brief.' and 'Hello there friend' are 9 + 18 = 27 characters, the answer is 18
    expect(model.stats).toMatchObject({ inputTokens: 7, outputTokens: 5 });
  });

  it('sends a key only where one was given for the server', async () => {
    const { server } = await start();
    process.env.OPENAI_API_KEY = 'sk-of-somebody-else';
    try {
      await openAIChat({ model: 'tiny', baseURL: server.url }).generate({ messages });
      await openAIChat({ model: 'tiny', baseURL: server.url, apiKey: 'sk-mine', headers: { 'x-team': 'a' } }).generate({ messages });
    } finally {
      delete process.env.OPENAI_API_KEY;
    }
    expect(server.requests.map((request) => request.headers.authorization)).toEqual([undefined, 'Bearer sk-mine']);
    expect(server.requests[1]!.headers['x-team']).toBe('a');
  });

  it('leaves out what surrounds a key in a file', async () => {
    const { model, server } = await start({}, { apiKey: ' sk-mine\n' });
    await model.generate({ messages });
    expect(server.requests[0]!.headers.authorization).toBe('Bearer sk-mine');
  });

  it.each(['sk-mine\nsk-yours', 'sk-…', 'sk-\0', 5 as never])('refuses a key that no header can hold, and does not show it', (apiKey) => {
    const found = typeof apiKey === 'string' ? 'a text' : apiKey;
    const expected = 'a key of characters that an HTTP header can hold';
    expect(() => openAIChat({ model: 'tiny', apiKey })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: `openAIChat, option 'apiKey': expected ${expected}, found ${found}.`,
        details: { option: 'apiKey', expected, found },
      }),
    );
  });

  it.each([
    'https://example.org/v1/chat/completions',
    'https://example.org/v1/chat/completions/',
    'https://example.org/v1?key=secret',
    'https://example.org/v1#secret',
    'https://me:secret@example.org/v1/chat/completions',
  ])('says what a base URL is instead of taking %s', (baseURL) => {
    expect(() => openAIChat({ model: 'tiny', baseURL })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringMatching(/option 'baseURL': expected the URL up to \/v1, such as .* added to it, found (?!.*secret)/),
        details: expect.objectContaining({ option: 'baseURL', found: expect.not.stringContaining('secret') }),
      }),
    );
  });

  it.each([
    [{ model: '' }, 'model'],
    [{ baseURL: 'localhost:8000' }, 'baseURL'],
    [{ baseURL: 'http://' }, 'baseURL'],
    [{ maxRetries: -1 }, 'maxRetries'],
    [{ concurrency: 0 }, 'concurrency'],
    [{ tokenBudget: Number.NaN }, 'tokenBudget'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
  ])('refuses %j', (options, option) => {
    const [found] = Object.values(options);
    expect(() => openAIChat({ model: 'tiny', ...options })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringMatching(/^openAIChat, option /),
        details: { option, expected: expect.any(String), found },
      }),
    );
  });
});

describe.each(ways)('openAIChat, asking by a JSON Schema: %s', (_, ask) => {
  const openai = 'https://api.openai.com/v1';
  /** A loopback server in the place of another, which refuses schemas as that does. */
  async function startAs(baseURL: string, fault: OpenAIServerOptions['fault'] = refuseLoose) {
    const { server, model } = await start(
      { fault },
      { baseURL, maxRetries: 0, fetch: (url, init) => fetch(String(url).replace(baseURL, server.url), init) },
    );
    return { server, model };
  }
  const refuseLoose: OpenAIServerOptions['fault'] = ({ body }) => {
    const { strict, schema } = formatOf(body).json_schema;
    const message = strict ? strictRefusal(schema) : undefined;
    return message === undefined ? undefined : { kind: 'refused', message };
  };
  const refuseStrict: OpenAIServerOptions['fault'] = ({ body }) =>
    formatOf(body).json_schema.strict ? { kind: 'refused', message: "Invalid schema: In context=('properties', 'a'), no." } : undefined;
  const formatOf = (body: object) => (body as { response_format: { json_schema: { strict?: boolean; schema: object } } }).response_format;
  const formats = ({ requests }: OpenAIServer) => requests.map(({ body }) => body.response_format);

  const age = { type: 'integer', minimum: 0 };
  const schema = { type: 'object', properties: { age }, required: ['age'] };
  const request = { messages, jsonSchema: { name: 'facts', schema } };
  const loose = { type: 'json_schema', json_schema: { name: 'facts', schema } };
  const closed = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'], additionalProperties: false };
  const strict = { type: 'json_schema', json_schema: { name: 'facts', strict: true, schema: closed } };

  it.each([openai, 'https://eu.api.openai.com/v1', 'https://mine.openai.azure.com/openai/v1'])(
    'has %s keep to its strict form',
    async (baseURL) => {
      const { model, server } = await startAs(baseURL);
      await ask(model, request);
      expect(formats(server)).toEqual([strict]);
    },
  );

  it.each(['https://openrouter.ai/api/v1', 'http://localhost:8000/v1', 'https://openai.example.org/v1'])(
    'sends it as it is to %s',
    async (baseURL) => {
      const { model, server } = await startAs(baseURL);
      await ask(model, request);
      expect(formats(server)).toEqual([loose]);
    },
  );

  it('sends one without a strict form as it is', async () => {
    const { model, server } = await startAs(openai);
    const optional = { ...schema, required: [] };
    await ask(model, { messages, jsonSchema: { name: 'facts', schema: optional } });
    expect(formats(server)).toEqual([{ type: 'json_schema', json_schema: { name: 'facts', schema: optional } }]);
  });

  it('asks again without strict when that is refused, and from then on at once, for this schema alone', async () => {
    const { model, server } = await startAs(openai, refuseStrict);
    await ask(model, request);
    expect(formats(server)).toEqual([strict, loose]);
    await ask(model, request);
    expect(formats(server)).toEqual([strict, loose, loose]);
    await ask(model, { messages, jsonSchema: { name: 'facts', schema: { ...schema, description: 'What is known.' } } });
    expect(server.requests).toHaveLength(5);
    expect(model.stats).toMatchObject({ calls: 3, requests: 5, failures: {} });
  });

  it('reports the refusal of what is asked for without strict, and asks strictly the next time', async () => {
    let message = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.";
    const { model, server } = await startAs(openai, () => (message ? { kind: 'refused', message } : undefined));
    expect((await errorOf(ask(model, request))).message).toContain('With structuredOutput: false, openAIChat sends no response_format.');
    message = '';
    await ask(model, request);
    expect(formats(server)).toEqual([strict, loose, strict]);
  });

  it.each<[string, Fault]>([
    ['refused for another reason', { kind: 'refused', message: "This model's maximum context length is 8192 tokens." }],
    ['failed', { kind: 'other', status: 500, contentType: 'application/json', body: '{"error": {"message": "schema"}}' }],
  ])('does not ask again when the request %s', async (_why, fault) => {
    const { model, server } = await startAs(openai, () => fault);
    await errorOf(ask(model, request));
    expect(formats(server)).not.toContainEqual(loose);
  });
});

describe.each(ways)('openAIChat, when things go wrong: %s', (_, ask) => {
  const first = (fault: Fault | Fault['kind']): OpenAIServerOptions => ({ fault: (_request, index) => (index === 0 ? fault : undefined) });
  const always = (fault: Fault | Fault['kind']): OpenAIServerOptions => ({ fault: () => fault });

  it.each(['rate-limit', 'server-error'] as const)('repeats after a %s, and counts it', async (kind) => {
    const { model } = await start(first(kind));
    await ask(model, { messages });
    expect(model.stats).toMatchObject({ calls: 1, requests: 2, retries: 1, failures: {} });
  });

  it.each([
    ['rate-limit', 'model-rate-limited', 429],
    ['server-error', 'model-failed', 500],
  ] as const)('gives up after maxRetries on a %s', async (kind, code, status) => {
    const { model, server } = await start(always(kind), { maxRetries: 3 });
    expect(await errorOf(ask(model, { messages }))).toMatchObject({ code, details: { status, model: 'tiny' } });
    expect(server.requests).toHaveLength(4);
    expect(model.stats).toMatchObject({ calls: 1, requests: 4, retries: 3, failures: { [code]: 1 }, inputTokens: 0 });
  });

  it('reports the rate limit at once when the server asks to wait past the deadline', async () => {
    const { model, server } = await start(always({ kind: 'rate-limit', retryAfter: 3600 }), { timeoutMs: 5000 });
    expect(await errorOf(ask(model, { messages }))).toMatchObject({ code: 'model-rate-limited' });
    expect(server.requests).toHaveLength(1);
  });

  it('does not repeat what the server refuses', async () => {
    const { model, server } = await start(always({ kind: 'refused', message: 'no such model' }));
    const error = await errorOf(ask(model, { messages }));
    expect(error).toMatchObject({ code: 'model-failed', details: { status: 400 } });
    expect(error.message).toContain('no such model');
    expect(server.requests).toHaveLength(1);
  });

  it.each(['slow', 'stalled'] as const)('ends with the deadline when the server is %s', async (kind) => {
    const { model } = await start(always(kind));
    expect(await errorOf(ask(model, { messages, timeoutMs: 100 }))).toMatchObject({ code: 'timeout', details: { timeoutMs: 100 } });
    expect(model.stats.failures).toEqual({ timeout: 1 });
  });

  it('counts the retries into the deadline', async () => {
    const { model } = await start(always({ kind: 'server-error', retryAfter: 0.06 }), { maxRetries: 100, timeoutMs: 200 });
    const error = await errorOf(ask(model, { messages }));
    expect(['timeout', 'model-failed']).toContain(error.code);
    expect(model.stats.requests).toBeLessThan(6);
  });

  it.each(['slow', 'stalled'] as const)('ends with the signal when the server is %s', async (kind) => {
    const { model } = await start(always(kind));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    expect(await errorOf(ask(model, { messages, signal: controller.signal }))).toMatchObject({ code: 'aborted' });
  });

  it.each(['slow', 'stalled'] as const)('waits without end where there is no deadline when the server is %s', async (kind) => {
    const { model, server } = await start(always(kind));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 100);
    const request = { messages, signal: controller.signal, timeoutMs: Number.POSITIVE_INFINITY };
    expect(await errorOf(ask(model, request))).toMatchObject({ code: 'aborted' });
    expect(server.requests).toHaveLength(1);
  });

  it('ends with the signal while it waits to repeat', { timeout: 20_000 }, async () => {
    const controller = new AbortController();
    const { model, server } = await start(always({ kind: 'rate-limit', retryAfter: 59 }), {
      timeoutMs: Number.POSITIVE_INFINITY,
      async fetch(...request) {
        const response = await fetch(...request);
        setTimeout(() => controller.abort(), 50); // then the wait has begun, whose end this test does not live to see
        return response;
      },
    });
    expect(await errorOf(ask(model, { messages, signal: controller.signal }))).toMatchObject({ code: 'aborted' });
    expect(server.requests).toHaveLength(1);
  });

  it('sends nothing when the signal has fired before', async () => {
    const { model, server } = await start();
    expect(await errorOf(ask(model, { messages, signal: AbortSignal.abort() }))).toMatchObject({ code: 'aborted' });
    expect(server.requests).toHaveLength(0);
  });

  it.each(['cut-off', 'malformed-json', 'no-message'] as const)('fails on an answer that is %s', async (kind) => {
    const { model } = await start(always(kind), { maxRetries: 0 });
    expect(await errorOf(ask(model, { messages }))).toMatchObject({ code: 'model-failed', details: { model: 'tiny' } });
    expect(model.stats.failures).toEqual({ 'model-failed': 1 });
  });

  it('hands on content of another form: to read it is up to who asked', async () => {
    const { model } = await start(always('malformed-content'));
    await ask(model, { messages });
    expect(model.stats.failures).toEqual({});
  });

  it('says that a server is unreachable, whether it died before or while it was asked', async () => {
    const { model, server } = await start(always('dead'), { maxRetries: 0 });
    expect(await errorOf(ask(model, { messages }))).toMatchObject({ code: 'model-unreachable' });
    const error = await errorOf(ask(model, { messages }));
    expect(error).toMatchObject({ code: 'model-unreachable', details: { origin: new URL(server.url).origin } });
    expect(error.message).toContain('ECONNREFUSED');
    expect(model.stats.failures).toEqual({ 'model-unreachable': 2 });
  });

  it('says so too when the deadline is shorter than the wait before another attempt', async () => {
    const { model, server } = await start({}, { timeoutMs: 300 });
    await server.close();
    expect(await errorOf(ask(model, { messages }))).toMatchObject({ code: 'model-unreachable' });
    expect(model.stats).toMatchObject({ requests: 1, failures: { 'model-unreachable': 1 } });
  });

  it('reports a failing server rather than a timeout when the wait before another attempt would be too long', async () => {
    const { model } = await start(always({ kind: 'server-error', retryAfter: Number.NaN }), { timeoutMs: 300 }); // it names no wait
    expect(await errorOf(ask(model, { messages }))).toMatchObject({ code: 'model-failed', details: { status: 500 } });
  });

  it('lets no key out, even when the server repeats it', async () => {
    const apiKey = 'sk-very-secret';
    const { model } = await start(always({ kind: 'refused', message: `Incorrect API key: ${apiKey}; token tok-123456` }), {
      apiKey,
      headers: { 'x-auth': 'Basic tok-123456' },
    });
    const error = await errorOf(ask(model, { messages }));
    const everything = [error.message, error.stack, JSON.stringify(error.details), String(error.cause)].join('\n');
    expect(everything).toContain('[concealed]');
    expect(everything).not.toMatch(/very-secret|tok-123456/);
  });

  it.each([
    ['with a line end', '', 'correct-horse-battery\n'],
    ['with a blank', '', ' correct-horse-battery'],
    ['as it is, and would be cut off in a long message', 'x '.repeat(230), 'correct-horse-battery'],
  ])('lets no part of a key out that was given %s', async (_how, before, apiKey) => {
    const message = `${before}Incorrect API key "${apiKey.trim()}". ${'y '.repeat(100)}`;
    const { model } = await start(always({ kind: 'refused', message }), { apiKey });
    expect((await errorOf(ask(model, { messages }))).message).not.toMatch(/correct-|horse|battery/);
  });

  it('lets no part of a key out that a code is', async () => {
    const body = JSON.stringify({ error: { message: 'no', code: 'not correct-horse', type: 'not correct-horse' } });
    const { model } = await start(always({ kind: 'other', status: 400, contentType: 'application/json', body }), {
      apiKey: 'correct-horse',
    });
    const { details } = await errorOf(ask(model, { messages }));
    expect(details).toMatchObject({ code: 'not [concealed]', type: 'not [concealed]' });
  });

  it('takes no word of a message for a key where there is none', async () => {
    const { model } = await start(always({ kind: 'refused', message: 'none of the models' }));
    expect((await errorOf(ask(model, { messages }))).message).toContain('none of the models');
  });

  it('does not repeat what was sent, when the server does', async () => {
    const { model } = await start({ fault: ({ body }) => ({ kind: 'refused', message: `Cannot read ${JSON.stringify(body)}` }) });
    const secret = 'I was diagnosed with "asthma" on Monday.';
    const { message, stack, details } = await errorOf(ask(model, { messages: [...messages, { role: 'user', content: secret }] }));
    expect(message).toContain('400 Cannot read {"model":"tiny","messages":[{"role":"system","content":"…"}');
    expect(JSON.stringify([message, stack, details])).not.toMatch(/brief|friend|diagnosed|asthma|Monday/);
  });

  it('says of a web page what it says', async () => {
    const body = `<html><head><title>502</title></head><body><h1>Bad Gateway</h1>${'<p>nginx</p>'.repeat(100)}</body></html>`;
    const { model } = await start(always({ kind: 'other', status: 502, contentType: 'text/html', body }), { maxRetries: 0 });
    const { message } = await errorOf(ask(model, { messages }));
    expect(message).toMatch(/the request failed: 502 Bad Gateway nginx nginx [^<]*…$/);
    expect(message.length).toBeLessThan(300);
  });

  it.each([
    ['in words', { error: { message: 'No provider for correct-horse', code: 502 } }, 'model-failed', 'No provider for [concealed]'],
    ['as a text', { error: 'no such model' }, 'model-failed', 'no such model'],
    ['that is a rate limit', { error: { message: 'Slow down', code: 429 } }, 'model-rate-limited', 'Slow down'],
  ])('tells the error of a server that sends it with status 200, %s', async (_what, body, code, words) => {
    const answer = { kind: 'other', contentType: 'application/json; charset=utf-8', body: JSON.stringify(body) } as const;
    const { model } = await start(always(answer), { apiKey: 'correct-horse' });
    const error = await errorOf(ask(model, { messages }));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(words);
  });

  it.each(['text/html', undefined])('says that the answer is no answer when its content type is %s', async (contentType) => {
    const { model } = await start(always({ kind: 'other', contentType, body: '<html><body>Welcome!</body></html>' }));
    const { code, message } = await errorOf(ask(model, { messages }));
    expect(code).toBe('model-failed');
    expect(message).toMatch(contentType ? /the answer is (?:no JSON but )?of content type text\/html\.$/ : /of no content type\.$/);
  });

  it('says how to do without response_format when the server refuses it', async () => {
    const { model } = await start(always({ kind: 'refused', message: "'response_format.type' must be 'text'" }));
    const request = { messages, jsonSchema: { name: 'verdict', schema: { type: 'object' } } };
    expect((await errorOf(ask(model, request))).message).toContain('With structuredOutput: false, openAIChat sends no response_format.');
  });

  it('tells for how long the server wants to be left alone', async () => {
    const { model } = await start(always({ kind: 'rate-limit', retryAfter: 30 }), { maxRetries: 0 });
    expect((await errorOf(ask(model, { messages }))).details).toMatchObject({ retryAfterMs: 30_000 });
  });
});

describe('openAIChat: streams that break', () => {
  it('says that the answer is no stream', async () => {
    const body = JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: 'Hi!' }, finish_reason: 'stop' }] });
    const { model } = await start({ fault: () => ({ kind: 'other', contentType: 'application/json', body }) });
    const { code, message } = await errorOf(collect(model.stream({ messages })));
    expect(code).toBe('model-failed');
    expect(message).toContain('a stream was asked for, and the answer is one piece of JSON.');
  });

  it('reads a stream by any other content type', async () => {
    const body = 'data: {"choices":[{"index":0,"delta":{"content":"Hi!"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
    const { model } = await start({ fault: () => ({ kind: 'other', contentType: 'text/plain', body }) });
    expect((await collect(model.stream({ messages }))).at(-1)).toMatchObject({ type: 'finish', text: 'Hi!' });
  });

  it.each(['cut-off', 'ended'] as const)('makes up no finish part for a stream that is %s', async (kind) => {
    const { model } = await start({ fault: () => kind });
    const parts: ChatPart[] = [];
    const reading = (async () => {
      for await (const part of model.stream({ messages })) parts.push(part);
    })();
    expect(await errorOf(reading)).toMatchObject({ code: 'model-failed' });
    expect(parts).toEqual([{ type: 'text', text: 'HELLO THE' }]);
    // 27 and 9 characters: what came before the break was paid for
    expect(model.stats).toMatchObject({ inputTokens: 7, outputTokens: 3 });
  });

  it('gives the connection and the turn back when the reader stops', async () => {
    const { model, server } = await start({ fault: (_request, index) => (index === 0 ? 'stalled' : undefined) }, { concurrency: 1 });
    for await (const part of model.stream({ messages })) {
      expect(part.type).toBe('text');
      break;
    }
    expect((await model.generate({ messages })).text).toBe('HELLO THERE FRIEND');
    expect(server.requests).toHaveLength(2);
    expect(model.stats.failures).toEqual({});
  });
});

describe('openAIChat: limits', () => {
  it('keeps to the number of calls at a time', async () => {
    const { model, server } = await start({ answer: () => new Promise((resolve) => setTimeout(resolve, 30, 'ok')) }, { concurrency: 2 });
    await Promise.all(Array.from({ length: 6 }, (_, i) => (i % 2 ? model.generate({ messages }) : collect(model.stream({ messages })))));
    expect(server.requests).toHaveLength(6);
    expect(server.peak).toBe(2);
  });

  it('ends the wait for a turn with the signal, while the call before is still under way', async () => {
    let answer = (_: string) => {};
    const answered = new Promise<string>((resolve) => {
      answer = resolve;
    });
    const { model, server } = await start({ answer: () => answered }, { concurrency: 1 });
    const controller = new AbortController();
    const first = model.generate({ messages });
    const waiting = errorOf(model.generate({ messages, signal: controller.signal }));
    const next = model.generate({ messages });
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    controller.abort();
    expect(await waiting).toMatchObject({ code: 'aborted' });
    expect(server.requests).toHaveLength(1);
    answer('ok');
    await Promise.all([first, next]);
    expect(server.requests).toHaveLength(2);
  });

  it('refuses the call after the one that used up the budget, before it is sent', async () => {
    const { model, server } = await start({}, { tokenBudget: 16 });
    await model.generate({ messages }); // 8 tokens
    await collect(model.stream({ messages })); // 16
    expect(await errorOf(model.generate({ messages }))).toMatchObject({ code: 'budget-exceeded', details: { spent: 16, tokenBudget: 16 } });
    expect(await errorOf(collect(model.stream({ messages })))).toMatchObject({ code: 'budget-exceeded' });
    expect(server.requests).toHaveLength(2);
    expect(model.stats.failures).toEqual({ 'budget-exceeded': 2 });
  });
});
