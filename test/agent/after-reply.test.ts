import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AgentEvents, memoryStore, PersonalizedAgent, transcriptPrompt } from '../../src/agent/index';
import type { ChatRequest } from '../../src/chat/index';
import { RlpaError } from '../../src/errors';
import { scriptedChatModel } from '../../src/testing/index';
import { collect, fixed, gate, idle, json, schema, turnJson, turnText } from './fixtures';

/** The request for the profile is the one whose last message was not written by the user of the test. */
const asksForProfile = ({ messages }: ChatRequest) =>
  /^The user has got your reply|\n\nThe user has got your reply/.test(messages.at(-1)!.content);
const lastMessage = ({ messages }: ChatRequest) =>
  messages.findLast(({ role, content }) => role === 'user' && !content.includes('got your reply'))!.content;
const changes = (...list: readonly object[]) => JSON.stringify({ changes: list });
const isNurse = { op: 'set', slot: 'occupation', value: 'nurse', evidence: null };

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  await idle();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

function events(agent: PersonalizedAgent) {
  const seen: Record<string, unknown[]> = {};
  for (const name of ['change', 'contradiction', 'rejected', 'problem', 'inferred'] as const satisfies readonly (keyof AgentEvents)[]) {
    seen[name] = [];
    agent.on(name, (event: unknown) => seen[name]!.push(event));
  }
  return seen;
}

describe.each(['json', 'text'] as const)('mode after-reply, profiles in %s', (form) => {
  const profileText = () => (form === 'json' ? changes(isNurse) : turnText({ occupation: 'nurse' }, '-').split('\n\n<response>')[0]!);
  const modelOf = (answer: (request: ChatRequest) => string | Promise<string>) =>
    scriptedChatModel((request) => answer(request), { structuredOutput: form === 'json' });

  it('gives the reply from a call that asks for nothing else, and the profile from another that nobody waits for', async () => {
    const { opened, open } = gate();
    const model = modelOf(async (request) => (asksForProfile(request) ? opened.then(profileText) : 'How was the shift?'));
    const agent = new PersonalizedAgent({ schema, model, mode: 'after-reply', ...fixed().options });
    const seen = events(agent);
    const turn = await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    expect(turn).toMatchObject({ reply: 'How was the shift?', changes: [] });
    expect(turn.problem).toBeUndefined();
    expect(turn.profile.size).toBe(0);
    expect(model.requests[0]!.jsonSchema).toBeUndefined();
    expect(JSON.stringify(model.requests[0]!.messages)).not.toMatch(/<profile>|changes/);
    open();
    await agent.settled('u1');
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
    expect(model.requests).toHaveLength(2);
    expect(model.requests[1]!.jsonSchema !== undefined).toBe(form === 'json');
    expect(seen.change).toMatchObject([
      { userId: 'u1', changes: [{ slot: 'occupation', source: 'stated', evidence: { messageId: '1' } }] },
    ]);
    expect(seen.inferred).toMatchObject([{ userId: 'u1', messageId: '1', changes: [{ value: 'nurse' }] }]);
  });

  it('streams the reply as it is written', async () => {
    const model = modelOf((request) => (asksForProfile(request) ? profileText() : 'How was the shift, and the way home?'));
    const agent = new PersonalizedAgent({ schema, model, mode: 'after-reply' });
    const parts = await collect(agent.stream({ userId: 'u1', message: 'I am a nurse.' }));
    const texts = parts.flatMap((part) => (part.type === 'reply' ? [part.text] : []));
    expect(texts.length).toBeGreaterThan(2);
    expect(texts.join('')).toBe('How was the shift, and the way home?');
    await agent.settled();
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
    expect((await agent.export('u1'))!.turns).toMatchObject([{ message: 'I am a nurse.', reply: 'How was the shift, and the way home?' }]);
  });

  it('asks once more for a profile that is malformed', async () => {
    let asked = 0;
    const model = modelOf((request) => (asksForProfile(request) ? (++asked === 1 ? 'no idea' : profileText()) : 'Hi'));
    const agent = new PersonalizedAgent({ schema, model, mode: 'after-reply' });
    const seen = events(agent);
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await agent.settled();
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
    expect(seen.inferred).toMatchObject([{ repaired: { code: expect.any(String) } }]);
    expect(seen.problem).toEqual([]);
    expect(asked).toBe(2);
  });
});

describe('what runs after replies', () => {
  const agentOf = (answer: (request: ChatRequest) => string | Promise<string>, options = {}) => {
    const model = scriptedChatModel(answer, json);
    return { model, agent: new PersonalizedAgent({ schema, model, mode: 'after-reply', ...options }) };
  };

  it('goes in the order of the messages of a user, so that the later one counts', async () => {
    const first = gate();
    const { agent } = agentOf(async (request) => {
      if (!asksForProfile(request)) return 'Hi';
      if (lastMessage(request).includes('nurse')) await first.opened;
      const value = /a (nurse|teacher)/.exec(lastMessage(request))![1];
      return changes({ op: 'set', slot: 'occupation', value });
    });
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await agent.respond({ userId: 'u1', message: 'I am a teacher now.' });
    await idle();
    first.open();
    await agent.settled();
    const jobs = await agent.history('u1');
    expect(jobs.map(({ value, validTo }) => [value, validTo === undefined])).toEqual([
      ['nurse', false],
      ['teacher', true],
    ]);
  });

  it('keeps that order where each message has an agent of its own over one store, and can be waited for by any of them', async () => {
    const store = memoryStore();
    const first = gate();
    const answer = (value: string, opened?: Promise<unknown>) => async (request: ChatRequest) => {
      if (!asksForProfile(request)) return 'Hi';
      await opened;
      return changes({ op: 'set', slot: 'occupation', value });
    };
    await agentOf(answer('nurse', first.opened), { store }).agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await agentOf(answer('teacher'), { store }).agent.respond({ userId: 'u1', message: 'I am a teacher now.' });
    await idle();
    first.open();
    const { agent } = agentOf(() => '', { store });
    await agent.settled('u1');
    expect((await agent.profile('u1')).values.occupation).toBe('teacher');
  });

  it.each([
    { maxHistory: 20, before: ['One', 'You said: One'] },
    { maxHistory: 1, before: [] }, // the first turn is not kept any more when the second is stored
  ])(
    'reads the message that it is about and the turns before it, but none that came since (of $maxHistory)',
    async ({ maxHistory, before }) => {
      const { opened, open } = gate();
      const { agent, model } = agentOf(
        async (request) => {
          if (!asksForProfile(request)) return `You said: ${lastMessage(request)}`;
          await opened;
          return changes();
        },
        { maxHistory },
      );
      for (const message of ['One', 'Two']) await agent.respond({ userId: 'u1', message });
      open();
      await agent.settled();
      const asked = model.requests.filter(asksForProfile).map(({ messages }) => messages.slice(1, -1).map(({ content }) => content));
      expect(asked).toEqual([
        ['One', 'You said: One'],
        [...before, 'Two', 'You said: Two'],
      ]);
    },
  );

  it('fails in events, and settled resolves all the same', async () => {
    const { agent } = agentOf((request) => {
      if (asksForProfile(request)) throw new RlpaError('model-unreachable', 'no network');
      return 'Hi';
    });
    const seen = events(agent);
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await agent.settled();
    expect(seen.problem).toMatchObject([{ userId: 'u1', problem: { code: 'not-inferred', message: 'no network' } }]);
    expect(seen.inferred).toMatchObject([{ changes: [], problem: { code: 'not-inferred' } }]);
    expect((await agent.export('u1'))!.turns).toHaveLength(1);
  });

  it('reports a store that fails, and a model that breaks its promise to throw our errors', async () => {
    const store = memoryStore();
    let saves = 0;
    const failing = {
      ...store,
      save: (...args: Parameters<typeof store.save>) => (++saves > 1 ? Promise.reject(new Error('disk full')) : store.save(...args)),
    };
    const { agent } = agentOf((request) => (asksForProfile(request) ? changes(isNurse) : 'Hi'), { store: failing });
    const seen = events(agent);
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await agent.settled();
    expect(seen.problem).toMatchObject([{ problem: { code: 'not-stored', message: expect.stringContaining('disk full') } }]);
    const rude = agentOf((request) => {
      if (asksForProfile(request)) throw new TypeError('undefined is not a function');
      return 'Hi';
    }).agent;
    const rudeEvents = events(rude);
    await rude.respond({ userId: 'u1', message: 'Hello' });
    await rude.settled();
    expect(rudeEvents.problem).toMatchObject([{ problem: { code: 'not-inferred' } }]);
  });

  it('leaves no trace of a user who is erased meanwhile, and is not waited for', async () => {
    let aborted: AbortSignal | undefined;
    const { agent } = agentOf((request) => {
      if (!asksForProfile(request)) return 'Hi';
      aborted = request.signal;
      return new Promise<string>(() => {});
    });
    const seen = events(agent);
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await idle();
    expect(await agent.erase('u1')).toBe(true);
    expect(aborted!.aborted).toBe(true);
    await agent.settled('u1');
    expect(await agent.export('u1')).toBeUndefined();
    expect(seen.change).toEqual([]);
    expect(seen.inferred).toMatchObject([{ problem: { code: 'not-stored' } }]);
  });

  it('does not write what it learned before an erasure into what came after it', async () => {
    const { opened, open } = gate();
    const { agent } = agentOf(async (request) => {
      if (!asksForProfile(request)) return 'Hi';
      if (!lastMessage(request).includes('nurse')) return changes();
      await opened;
      return changes(isNurse);
    });
    for (const message of ['I am a nurse.', 'Did you hear, I am a nurse?']) await agent.respond({ userId: 'u1', message });
    await idle();
    await agent.erase('u1');
    await agent.respond({ userId: 'u1', message: 'Hello' });
    open();
    await agent.settled();
    expect(await agent.export('u1')).toMatchObject({ items: [], turns: [{ message: 'Hello' }] });
  });

  it('writes nothing, and asks nothing more, about a user whom another process erased, who may be there again', async () => {
    const store = memoryStore();
    const { opened, open } = gate();
    const { agent, model } = agentOf(
      async (request) => {
        if (!asksForProfile(request)) return 'Hi';
        await opened;
        return changes(isNurse);
      },
      { store },
    );
    for (const message of ['I am a nurse.', 'Did you hear, I am a nurse?']) await agent.respond({ userId: 'u1', message });
    await idle();
    const elsewhere = new PersonalizedAgent({ schema, store, model: scriptedChatModel([turnJson([], 'Hi'), turnJson([], 'Hi')], json) });
    await elsewhere.erase('u1');
    for (const message of ['Hello', 'Hello?']) await elsewhere.respond({ userId: 'u1', message });
    open();
    await agent.settled();
    expect(await agent.export('u1')).toMatchObject({ items: [], turns: [{ message: 'Hello' }, { message: 'Hello?' }] });
    expect(model.requests.filter(asksForProfile)).toHaveLength(1);
  });

  it('is not ended by the signal of the request, whose client may have gone', async () => {
    const controller = new AbortController();
    const { opened, open } = gate();
    const { agent } = agentOf(async (request) => (asksForProfile(request) ? opened.then(() => changes(isNurse)) : 'Hi'));
    await agent.respond({ userId: 'u1', message: 'I am a nurse.', signal: controller.signal });
    controller.abort();
    open();
    await agent.settled();
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
  });

  it("is ended by the agent's signal, and by its deadline", async () => {
    const hanging = (request: ChatRequest) => (asksForProfile(request) ? new Promise<string>(() => {}) : 'Hi');
    const controller = new AbortController();
    const { agent } = agentOf(hanging, { signal: controller.signal });
    const seen = events(agent);
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await idle();
    controller.abort();
    await agent.settled();
    expect(seen.problem).toMatchObject([{ problem: { code: 'not-inferred' } }]);
    const late = agentOf(hanging).agent;
    const lateEvents = events(late);
    await late.respond({ userId: 'u1', message: 'I am a nurse.', timeoutMs: 50 });
    await late.settled();
    expect(lateEvents.problem).toMatchObject([{ problem: { code: 'not-inferred', message: expect.stringContaining('ms') } }]);
  });

  it('can be waited for with a limit, which ends the waiting only', async () => {
    const { opened, open } = gate();
    const { agent } = agentOf(async (request) => (asksForProfile(request) ? opened.then(() => changes(isNurse)) : 'Hi'));
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await expect(agent.settled('u1', { timeoutMs: 10 })).rejects.toMatchObject({ code: 'timeout' });
    await expect(agent.settled('u1', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
    await agent.settled('somebody else');
    open();
    await agent.settled();
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
  });

  it('counts on an account of its own', async () => {
    const { agent } = agentOf((request) => (asksForProfile(request) ? changes(isNurse) : 'Hi there'), {
      prices: { input: 1e6, output: 0 },
    });
    const seen = events(agent);
    const turn = await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await agent.settled();
    const [inferred] = seen.inferred as { usage: { inputTokens: number }; cost: number; latencyMs: number }[];
    expect(turn.usage.outputTokens).toBe(2);
    expect(inferred!.usage.inputTokens).toBeGreaterThan(turn.usage.inputTokens);
    expect(inferred!.cost).toBe(inferred!.usage.inputTokens);
  });

  it('keeps turns in a form that the other mode can go on with', async () => {
    const store = memoryStore();
    const model = scriptedChatModel((request) => (asksForProfile(request) ? turnText({ occupation: 'nurse' }, '-') : 'Hi'));
    const agent = new PersonalizedAgent({ schema, model, store, mode: 'after-reply' });
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await agent.settled();
    const next = scriptedChatModel([turnText({ occupation: 'nurse' }, 'Hello again')]);
    await new PersonalizedAgent({ schema, model: next, store }).respond({ userId: 'u1', message: 'Hello' });
    expect(next.requests[0]!.messages[2]).toMatchObject({
      role: 'assistant',
      content: expect.stringMatching(/^<profile>.*<response>\nHi\n<\/response>$/s),
    });
  });

  it('needs a model that can be asked for a reply alone', () => {
    const options = { schema, model: scriptedChatModel([turnJson([], 'Hi')]), prompt: transcriptPrompt(), mode: 'after-reply' } as const;
    expect(() => new PersonalizedAgent(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    expect(() => new PersonalizedAgent({ ...options, mode: 'sometimes' as never })).toThrow(/mode/);
  });
});
