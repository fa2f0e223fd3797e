import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { ProfileSchema } from '../../src/profile/index';
import { serveAgent } from '../../src/server/index';
import { scriptedChatModel } from '../../src/testing/index';
import { closeAll, heldModel, serve, until } from './served';

const answer = '<profile>\n</profile>\n\n<response>\nHello there.\n</response>';
const messages = [{ role: 'user' as const, content: 'Hi!' }];

afterEach(closeAll);

describe('closing a server', () => {
  it('finishes the answers under way, and takes no new requests', async () => {
    const { model, release } = heldModel(answer);
    const { server, client } = await serve({ model });
    const whole = client.chat.completions.create({ model: 'test', messages });
    const parts = client.chat.completions.stream({ model: 'test', messages }).finalContent();
    await until(() => server.counters.running === 2, 'both run');
    const closed = server.close();
    await expect(client.chat.completions.create({ model: 'test', messages })).rejects.toThrow(OpenAI.APIConnectionError);
    release();
    expect((await whole).choices[0]!.message.content).toBe('Hello there.');
    expect(await parts).toBe('Hello there.');
    await closed;
    await server.close();
  });

  it('ends what is not finished at the deadline, and says why', async () => {
    const { model } = heldModel(answer);
    const { server, client } = await serve({ model, graceMs: 50, concurrency: 1 });
    const running = client.chat.completions.create({ model: 'test', messages }).catch((error) => error);
    await until(() => server.counters.running === 1, 'it runs');
    const waiting = client.chat.completions.create({ model: 'test', messages, stream: true }).catch((error) => error);
    await until(() => server.counters.waiting === 1, 'it waits');
    await server.close();
    for (const error of [await running, await waiting]) expect(error).toMatchObject({ status: 503, code: 'shutting_down' });
  });
});

describe('starting a server', () => {
  const model = scriptedChatModel([]);
  const schema = ProfileSchema.standard;

  it('where another one listens says so', async () => {
    const { server } = await serve({ model });
    await expect(serveAgent({ schema, model, port: server.port })).rejects.toMatchObject({
      code: 'server-failed',
      message: `Cannot listen on 127.0.0.1:${server.port}: another program listens there.`,
    });
  });

  it.each([
    [{ concurrency: 0 }, 'concurrency'],
    [{ queue: -1 }, 'queue'],
    [{ maxBodyBytes: 0.5 }, 'maxBodyBytes'],
    [{ maxMessageLength: 0 }, 'maxMessageLength'],
    [{ timeoutMs: Number.NaN }, 'timeoutMs'],
    [{ token: '' }, 'token'],
    [{ token: 'two words' }, 'token'],
    [{ token: null as unknown as string }, 'token'],
  ])('with %o refuses the option', async (options, option) => {
    await expect(serveAgent({ schema, model, ...options })).rejects.toMatchObject({ code: 'invalid-option', details: { option } });
  });
});
