import { connect, type Socket } from 'node:net';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/agent/index';
import { ProfileSchema } from '../../src/profile/index';
import { CompletionTurn } from '../../src/server/completion-turn';
import type { AgentServer } from '../../src/server/index';
import { requestLine } from '../../src/server/index';
import { scriptedChatModel } from '../../src/testing/index';
import { clientOf, closeAll, heldModel, type Served, serve, until } from './served';

const answer = '<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nHow was the ward?\n</response>';
const messages = [{ role: 'user', content: 'I am a nurse.' }] as const;

const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await closeAll();
});

/** A connection on which the test writes what it likes. */
function open({ port }: AgentServer): Promise<{ socket: Socket; received: () => string; ended: Promise<void> }> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', () => {});
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return new Promise((resolve) => socket.once('connect', () => resolve({ socket, received: () => text, ended })));
}

function post(server: AgentServer, body: RequestInit['body'], headers: Record<string, string> = {}): Promise<Response> {
  const init = { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers }, duplex: 'half' };
  return fetch(`${server.url}/chat/completions`, init as RequestInit);
}

const ask = ({ client }: Pick<Served, 'client'>) => client.chat.completions.create({ model: 'test', messages: [...messages], user: 'u1' });
const fine = () => serve({ model: scriptedChatModel(() => answer) });

describe('a body', () => {
  it('over the limit is refused before it is read, whether or not it says its length', async () => {
    const served = await serve({ model: scriptedChatModel(() => answer), maxBodyBytes: 2000 });
    const large = JSON.stringify({ model: 'test', messages: [{ role: 'user', content: 'x'.repeat(3000) }] });
    const declared = await post(served.server, large);
    expect(declared.status).toBe(413);
    expect(await declared.json()).toMatchObject({ error: { type: 'invalid_request_error', code: 'body_too_large' } });
    const { socket, ended } = await open(served.server);
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    // 131 MB, of which a connection holds a few by itself: the rest is taken only by who reads it
    for (let sent = 0; sent < 2000 && !isOver; sent++) {
      if (!socket.write(chunk)) await Promise.race([ended, new Promise((resolve) => socket.once('drain', resolve))]);
    }
    expect(isOver).toBe(true);
    await until(() => served.records.length === 2, 'both are over');
    expect(served.records.map(({ status }) => status)).toEqual([413, 413]);
    expect((await ask(served)).choices[0]!.message.content).toBe('How was the ward?');
  });

  it.each([
    ['no JSON', '{"model": "test", '],
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['a number', '5'],
    ['deep nesting', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['a prototype', '{"__proto__": {"model": "test"}, "constructor": 1}'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x00, 0x7d])],
  ])('of %s is a bad request', async (_, body) => {
    const served = await fine();
    const response = await post(served.server, body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
    expect((await ask(served)).choices).toHaveLength(1);
  });

  it('that is not declared as JSON is refused: a page of another site may send nothing else unasked', async () => {
    const { server } = await fine();
    const response = await post(server, JSON.stringify({ model: 'test', messages }), { 'content-type': 'text/plain' });
    expect(response.status).toBe(415);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('access', () => {
  it('is by the token, where there is one, to everything but the health', async () => {
    const { server, client } = await serve({ model: scriptedChatModel(() => answer), token: 'correct-horse' });
    expect((await client.models.list()).data).toHaveLength(1);
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      'Bearer correct',
      'Bearer correct-horse-2',
      'Basic correct-horse',
      'correct-horse',
    ]) {
      const { status } = await fetch(`${server.url}/models`, { headers: { authorization } });
      expect(status, authorization).toBe(401);
      expect((await post(server, 'x', { authorization })).status, authorization).toBe(401);
    }
    const health = await fetch(server.url.replace('/v1', '/health'));
    expect(await health.json()).toEqual({ status: 'ok', running: 0, waiting: 0 });
  });

  it('without a token is for those who call this machine by its own name', async () => {
    const { server } = await fine();
    const { socket, received } = await open(server);
    socket.write('GET /v1/models HTTP/1.1\r\nHost: attacker.example\r\n\r\n');
    await until(() => received().includes('}}'), 'an answer');
    expect(received()).toContain('403 Forbidden');
    for (const host of ['localhost', `127.0.0.1:${server.port}`, '[::1]:80']) {
      const own = await open(server);
      own.socket.write(`GET /v1/models HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await until(() => own.received().includes('200 OK'), 'an answer');
    }
  });

  it('has no other path and no other method', async () => {
    const { server } = await fine();
    const status = async (path: string, init?: RequestInit) => (await fetch(server.url.replace('/v1', path), init)).status;
    expect(await status('/v1/embeddings')).toBe(404);
    expect(await status('/')).toBe(404);
    expect(await status('/v1/chat/completions')).toBe(405);
    expect(await status('/health', { method: 'DELETE' })).toBe(405);
    expect(await status('/v1/../../etc/passwd')).toBe(404);
  });
});

describe('a message of the user', () => {
  it('over the limit is refused, be it the last, an earlier one, or several in a row', async () => {
    const { client } = await serve({ model: scriptedChatModel(() => answer), maxMessageLength: 12 });
    const ask = (messages: OpenAI.Chat.ChatCompletionMessageParam[]) => client.chat.completions.create({ model: 'test', messages });
    const user = (content: string) => ({ role: 'user', content }) as const;
    const assistant = { role: 'assistant', content: 'A reply may be longer.' } as const;
    for (const messages of [[user('I am a nurse.')], [user('I am a nurse.'), assistant, user('Hi!')], [user('I am'), user('a nurse')]]) {
      const refusal = { status: 400, code: 'string_above_max_length', param: 'messages', message: expect.stringContaining('one has 13.') };
      await expect(ask(messages)).rejects.toMatchObject(refusal);
    }
    expect((await ask([user('I am a nurse'), assistant, user('Hi!')])).choices).toHaveLength(1);
  });

  it('is by default no longer than 32,768 characters', async () => {
    const { server } = await fine();
    const status = async (length: number) =>
      (await post(server, JSON.stringify({ model: 'test', messages: [{ role: 'user', content: 'x'.repeat(length) }] }))).status;
    expect([await status(32_768), await status(32_769)]).toEqual([200, 400]);
  });
});

describe('a conversation that a request brings along', () => {
  it('lets others have their turn between two of its turns', async () => {
    let rounds = 0;
    let handle = setImmediate(function round() {
      rounds++;
      handle = setImmediate(round);
    });
    const seen: number[] = [];
    const model = scriptedChatModel(() => {
      seen.push(rounds);
      return answer;
    });
    const options = { schema: ProfileSchema.standard, model, store: memoryStore(), timeoutMs: 60_000 };
    const turns = Array.from({ length: 20 }, () => ({ message: 'Hi!', reply: 'Hello.' }));
    const turn = new CompletionTurn(options, { model: 'test', messages: [] }, { turns, message: 'I am a nurse.' });
    await turn.respond(new AbortController().signal);
    clearImmediate(handle);
    expect(seen[0]).toBeGreaterThanOrEqual(turns.length);
  });
});

describe('more requests than can be answered', () => {
  it('wait, up to a number; the rest is told to come back', async () => {
    const { model, release } = heldModel(answer);
    const served = await serve({ model, concurrency: 2, queue: 3 });
    const asked = Array.from({ length: 9 }, () => ask(served).catch((error) => error));
    await until(() => served.records.length === 4, 'four are refused');
    expect(served.server.counters).toEqual({ running: 2, waiting: 3 });
    expect(model.requests).toHaveLength(2);
    release();
    const settled = await Promise.all(asked);
    const refused = settled.filter((each) => each instanceof OpenAI.APIError);
    expect(refused).toHaveLength(4);
    for (const error of refused) {
      expect(error).toMatchObject({ status: 429, code: 'server_busy' });
      expect(error.headers!.get('retry-after')).toBe('1');
    }
    expect(served.server.counters).toEqual({ running: 0, waiting: 0 });
  });

  it('give their place up when they leave', async () => {
    const { model, release } = heldModel(answer);
    const served = await serve({ model, concurrency: 1, queue: 1 });
    const first = ask(served);
    await until(() => served.server.counters.running === 1, 'one runs');
    const controller = new AbortController();
    const gone = served.client.chat.completions.create({ model: 'test', messages: [...messages] }, { signal: controller.signal });
    gone.catch(() => {});
    await until(() => served.server.counters.waiting === 1, 'one waits');
    controller.abort();
    await until(() => served.server.counters.waiting === 0, 'nobody waits');
    const next = ask(served);
    release();
    expect((await Promise.all([first, next])).map(({ choices }) => choices.length)).toEqual([1, 1]);
  });
});

describe('clients that are slow on purpose', () => {
  const impatient = (more: object = {}) => serve({ model: scriptedChatModel(() => answer), arrivalMs: 400, ...more });

  it('are left when their headers do not come to an end', async () => {
    const served = await impatient();
    const { socket, received, ended } = await open(served.server);
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n');
    let drips = 0;
    const drip = setInterval(() => socket.write(`X-Drip-${drips++}: x\r\n`), 50);
    await ended;
    clearInterval(drip);
    expect(received()).toContain('408 Request Timeout');
    expect((await ask(served)).choices).toHaveLength(1);
  });

  it('are left when their body does not come to an end', { timeout: 20_000 }, async () => {
    const served = await impatient();
    const { socket, ended } = await open(served.server);
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{',
    );
    const drip = setInterval(() => socket.write(' '), 50);
    await ended;
    clearInterval(drip);
    expect((await ask(served)).choices).toHaveLength(1);
    expect(served.server.counters).toEqual({ running: 0, waiting: 0 });
  });

  it('are left when they say nothing at all', async () => {
    const { ended } = await open((await impatient()).server);
    await ended;
  });

  it('do not keep others out, a thousand of them', async () => {
    // they may stay as long as a test may last: it is not their end that lets others in
    const served = await serve({ model: scriptedChatModel(() => answer), arrivalMs: 60_000 });
    const attackers = await Promise.all(Array.from({ length: 1000 }, () => open(served.server)));
    for (const [i, { socket }] of attackers.entries()) {
      if (i % 3 === 0) socket.write('POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n');
      if (i % 3 === 1)
        socket.write(
          'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
        );
    }
    const replies = await Promise.all(Array.from({ length: 20 }, () => ask({ client: clientOf(served.server) })));
    expect(replies.map(({ choices }) => choices[0]!.message.content)).toEqual(Array(20).fill('How was the ward?'));
    // as many as are allowed are still there
    await until(() => attackers.filter(({ socket }) => !socket.destroyed && !socket.readableEnded).length <= 512, 'the oldest are closed');
  });

  it('who do not read their answer are left, and their place is free', async () => {
    const long = `<profile>\n</profile>\n\n<response>\n${'word '.repeat(2_000_000)}\n</response>`;
    const texts = [long, answer];
    const model = scriptedChatModel(() => texts.shift()!, { chunkSize: 50_000 });
    const served = await serve({ model, concurrency: 1, timeoutMs: 1000 });
    const { socket } = await open(served.server);
    socket.pause();
    const body = JSON.stringify({ model: 'test', messages, stream: true });
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => served.records.length === 1 && served.server.counters.running === 0, 'it is left');
    expect(served.records[0]).toMatchObject({ status: 200, left: true });
    expect((await ask(served)).choices[0]!.message.content).toBe('How was the ward?');
  });
});

describe('the log', () => {
  it('holds neither keys, messages, users, profiles nor what was asked for in a path', async () => {
    const secrets = ['sk-very-secret', 'I am a nurse', 'nurse', 'alice@example.org', 'How was the ward'];
    const served = await serve({ model: scriptedChatModel(() => answer), token: 'sk-very-secret' });
    await served.client.chat.completions.create({ model: 'test', messages: [...messages], user: 'alice@example.org' });
    await served.client.chat.completions.create({ model: 'I am a nurse', messages: [...messages] }).catch(() => {});
    await clientOf(served.server, 'sk-very-secret-2')
      .models.list()
      .catch(() => {});
    await fetch(`${served.server.url}/models/alice@example.org?key=sk-very-secret`);
    await fetch(served.server.url.replace('/v1', '/sk-very-secret'));
    await post(served.server, '{"messages": "I am a nurse', { authorization: 'Bearer sk-very-secret' });
    await until(() => served.records.length === 6, 'all are over');
    const lines = served.records.map(requestLine).join('\n');
    for (const secret of secrets) expect(lines).not.toContain(secret);
    expect(served.records.map(({ status }) => status).toSorted()).toEqual([200, 400, 401, 401, 404, 404]);
    expect(requestLine(served.records[0]!)).toMatch(/^POST \/v1\/chat\/completions 200 \d+ ms \d+\+\d+ tokens$/);
  });

  it('shows nothing by itself', async () => {
    const written: string[] = [];
    const { log, info, warn, error } = console;
    const streams = [process.stdout, process.stderr].map((stream) => [stream, stream.write] as const);
    for (const name of ['log', 'info', 'warn', 'error'] as const) console[name] = (...args) => void written.push(args.join(' '));
    for (const [stream] of streams) stream.write = ((text: string) => written.push(String(text)) > 0) as typeof stream.write;
    try {
      const failing = await serve({
        model: scriptedChatModel(() => {
          throw new Error('secret');
        }),
      });
      await ask(failing).catch(() => {});
      const controller = new AbortController();
      const { model, release } = heldModel(answer);
      const held = await serve({ model });
      const asked = held.client.chat.completions.create(
        { model: 'test', messages: [...messages], stream: true },
        { signal: controller.signal },
      );
      asked.catch(() => {});
      await until(() => held.server.counters.running === 1, 'it runs');
      controller.abort();
      await until(() => held.records.length === 1, 'it is over');
      release();
    } finally {
      Object.assign(console, { log, info, warn, error });
      for (const [stream, write] of streams) stream.write = write;
    }
    expect(written).toEqual([]);
  });
});
