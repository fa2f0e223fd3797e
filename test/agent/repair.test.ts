import { describe, expect, it } from 'vitest';
import { PersonalizedAgent } from '../../src/agent/index';
import type { ChatModel, ChatRequest } from '../../src/chat/index';
import { RlpaError } from '../../src/errors';
import { scriptedChatModel } from '../../src/testing/index';
import { collect, fixed, json, schema, turnJson, turnText } from './fixtures';

const isNurse = { op: 'set', slot: 'occupation', value: 'nurse', evidence: null };
const message = 'I am a nurse.';

describe.each([
  {
    form: 'text',
    broken: '<profile>\nOccupation: nurse\n</profile>\n\n<response>\nHow was the shift?\n</response>',
    profile: '<profile>\n- Occupation: nurse\n</profile>',
    whole: turnText({ occupation: 'nurse' }, 'How was the shift?'),
    code: 'bad-line',
  },
  {
    form: 'json',
    broken: '{"reply": "How was the shift?", "changes": [{"op": "set", "slot": "occupa',
    profile: JSON.stringify({ changes: [isNurse] }),
    whole: turnJson([isNurse], 'How was the shift?'),
    code: 'invalid-json',
  },
] as const)('a malformed answer in $form', ({ form, broken, profile, whole, code }) => {
  const options = { structuredOutput: form === 'json', chunkSize: 4 };

  it('is asked for once more: the profile alone, for the reply is there', async () => {
    const model = scriptedChatModel([broken, profile], options);
    const agent = new PersonalizedAgent({ schema, model, ...fixed().options });
    const problems: unknown[] = [];
    agent.on('problem', (event) => problems.push(event));
    const turn = await agent.respond({ userId: 'u1', message });
    expect(turn).toMatchObject({ reply: 'How was the shift?', repaired: { code }, changes: [{ slot: 'occupation', source: 'stated' }] });
    expect(turn.problem).toBeUndefined();
    expect(problems).toEqual([]);
    const [first, second] = model.requests;
    expect(second!.messages.slice(0, first!.messages.length)).toEqual(first!.messages);
    expect(second!.messages.slice(first!.messages.length)).toMatchObject([
      { role: 'assistant', content: 'How was the shift?' },
      { role: 'user', content: expect.stringContaining('write no other') },
    ]);
    const properties = (request: ChatRequest) => Object.keys((request.jsonSchema?.schema.properties ?? {}) as object);
    if (form === 'json') expect(properties(second!)).toEqual(['changes']);
    expect((await agent.export('u1'))!.turns).toMatchObject([{ message, reply: 'How was the shift?' }]);
    expect((await agent.export('u1'))!.turns[0]!.malformed).toBeUndefined();
  });

  it('shows its reply at once when it streams, and the repair changes nothing about it', async () => {
    const model = scriptedChatModel([broken, profile], options);
    const agent = new PersonalizedAgent({ schema, model });
    const shown: string[] = [];
    const requestsAtText: number[] = [];
    for await (const part of agent.stream({ userId: 'u1', message })) {
      if (part.type === 'reply') {
        shown.push(part.text);
        requestsAtText.push(model.requests.length);
      } else if (part.type === 'finish') expect(part.profile.values.occupation).toBe('nurse');
    }
    expect(shown.join('')).toBe('How was the shift?');
    expect(new Set(requestsAtText)).toEqual(new Set([1]));
  });

  it('adds up what both calls used', async () => {
    const used = async (texts: string[]) => {
      const model = scriptedChatModel(texts, options);
      const agent = new PersonalizedAgent({ schema, model, prices: { input: 2e6, output: 5e6 } });
      return { turn: await agent.respond({ userId: 'u1', message }), requests: model.requests };
    };
    const { turn, requests } = await used([broken, profile]);
    const single = await used([whole]);
    expect(single.turn.usage.inputTokens).toBeLessThan(turn.usage.inputTokens);
    const counter = scriptedChatModel([broken, profile], options);
    const [one, two] = [await counter.generate(requests[0]!), await counter.generate(requests[1]!)];
    expect(turn.usage).toEqual({
      inputTokens: one.usage.inputTokens + two.usage.inputTokens,
      outputTokens: one.usage.outputTokens + two.usage.outputTokens,
    });
    expect(turn.cost).toBe(2 * turn.usage.inputTokens + 5 * turn.usage.outputTokens);
  });

  it('is not asked for a third time: the reply, the old profile and the first problem stay', async () => {
    const model = scriptedChatModel([broken, 'still not right', profile], options);
    const agent = new PersonalizedAgent({ schema, model });
    await agent.edit('u1', [{ op: 'set', slot: 'occupation', value: 'teacher' }]);
    const turn = await agent.respond({ userId: 'u1', message });
    expect(turn).toMatchObject({ reply: 'How was the shift?', problem: { code }, changes: [] });
    expect(turn.profile.values.occupation).toBe('teacher');
    expect(turn.repaired).toBeUndefined();
    expect(model.requests).toHaveLength(2);
  });

  it('is asked for as a whole where there is no reply to show', async () => {
    const model = scriptedChatModel([form === 'json' ? '{"chan' : '<profile>\n- Occ', whole], options);
    const agent = new PersonalizedAgent({ schema, model });
    const parts = await collect(agent.stream({ userId: 'u1', message }));
    expect(parts.flatMap((part) => (part.type === 'reply' ? [part.text] : [])).join('')).toBe('How was the shift?');
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reply: 'How was the shift?', firstTextMs: expect.any(Number) });
    expect(model.requests[1]!.messages.at(-1)!.content).toContain('again');
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
  });

  it('stays as it is where the second call fails, runs out of time, or may not be made', async () => {
    const failing = (second: () => Promise<string>) => {
      let calls = 0;
      return scriptedChatModel(() => (++calls === 1 ? broken : second()), options);
    };
    const unreachable = failing(() => Promise.reject(new RlpaError('model-unreachable', 'no network')));
    const turn = await new PersonalizedAgent({ schema, model: unreachable }).respond({ userId: 'u1', message });
    expect(turn).toMatchObject({ reply: 'How was the shift?', problem: { code } });
    const slow = failing(() => new Promise(() => {}));
    const late = await new PersonalizedAgent({ schema, model: slow }).respond({ userId: 'u1', message, timeoutMs: 100 });
    expect(late).toMatchObject({ reply: 'How was the shift?', problem: { code } });
    const once = scriptedChatModel([broken], options);
    const off = await new PersonalizedAgent({ schema, model: once, repair: false }).respond({ userId: 'u1', message });
    expect(off).toMatchObject({ reply: 'How was the shift?', problem: { code } });
    expect(once.requests).toHaveLength(1);
  });

  it('is not asked for again of a model that refused to write more', async () => {
    const scripted = scriptedChatModel([broken, profile], options);
    const model: ChatModel = {
      ...scripted,
      generate: async (request) => ({ ...(await scripted.generate(request)), finishReason: 'content-filter' }),
    };
    const turn = await new PersonalizedAgent({ schema, model }).respond({ userId: 'u1', message });
    expect(turn).toMatchObject({ reply: 'How was the shift?', problem: { code } });
    expect(scripted.requests).toHaveLength(1);
  });

  it('ends with the signal of the turn, without a trace', async () => {
    const controller = new AbortController();
    let calls = 0;
    const model = scriptedChatModel(() => {
      if (++calls === 1) return broken;
      controller.abort();
      return new Promise<string>(() => {});
    }, options);
    const agent = new PersonalizedAgent({ schema, model });
    await expect(agent.respond({ userId: 'u1', message, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    expect(await agent.export('u1')).toBeUndefined();
  });
});

describe('what a turn costs', () => {
  it('is in its result: tokens, money by the prices that were given, and time', async () => {
    const model: ChatModel = {
      ...scriptedChatModel([], json),
      generate: async () => ({
        text: turnJson([], 'Hi'),
        usage: { inputTokens: 2_000_000, outputTokens: 500_000 },
        finishReason: 'stop',
      }),
    };
    const prices = { input: 0.15, output: 0.6 };
    const turn = await new PersonalizedAgent({ schema, model, prices }).respond({ userId: 'u1', message });
    expect(turn.usage).toEqual({ inputTokens: 2_000_000, outputTokens: 500_000 });
    expect(turn.cost).toBeCloseTo(2 * 0.15 + 0.5 * 0.6, 10);
    expect(turn.firstTextMs).toBeGreaterThanOrEqual(0);
    expect(turn.latencyMs).toBeGreaterThanOrEqual(turn.firstTextMs!);
    expect((await new PersonalizedAgent({ schema, model }).respond({ userId: 'u1', message })).cost).toBeUndefined();
  });

  it('says when the first text of the reply came, which is before the end of a stream', async () => {
    const text = turnJson([], 'How was the shift, and the way home?');
    const scripted = scriptedChatModel([text], { ...json, chunkSize: 4 });
    const model: ChatModel = {
      ...scripted,
      async *stream(request) {
        let count = 0;
        for await (const part of scripted.stream(request)) {
          if (++count === 14) await new Promise((resolve) => setTimeout(resolve, 50));
          yield part;
        }
      },
    };
    const parts = await collect(new PersonalizedAgent({ schema, model }).stream({ userId: 'u1', message }));
    const finish = parts.at(-1)!;
    expect(parts.filter(({ type }) => type === 'reply').length).toBeGreaterThan(5);
    if (finish.type !== 'finish') throw new Error('no finish');
    expect(finish.latencyMs - finish.firstTextMs!).toBeGreaterThan(40);
    expect(finish.usage).toEqual((await scriptedChatModel([text], json).generate({ messages: scripted.requests[0]!.messages })).usage);
  });

  it.each([{ input: -1, output: 0 }, { input: 1, output: Number.NaN }, { input: 1 } as never])('refuses prices such as %j', (prices) => {
    expect(() => new PersonalizedAgent({ schema, model: scriptedChatModel([]), prices })).toThrow(/prices/);
  });
});
