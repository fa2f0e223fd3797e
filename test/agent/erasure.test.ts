import { describe, expect, it } from 'vitest';
import { memoryStore, PersonalizedAgent, type ProfileStore } from '../../src/agent/index';
import { scriptedChatModel } from '../../src/testing/index';
import { gate, idle, json, schema, turnJson } from './fixtures';

const isNurse = { op: 'set', slot: 'occupation', value: 'nurse' } as const;

/** An agent whose model answers when the test says so. */
function waitingAgent(store: ProfileStore) {
  const { opened, open } = gate();
  const model = scriptedChatModel(() => opened.then(() => turnJson([isNurse], 'Hi')), json);
  return { agent: new PersonalizedAgent({ schema, store, model }), open };
}

/** Another agent over the store, which nobody talks to. */
const agentOver = (store: ProfileStore) => new PersonalizedAgent({ schema, store, model: scriptedChatModel([]) });

describe('a user who is erased by another agent over the same store', () => {
  it.each(['known', 'new', 'new, and known since'])('is not brought back by a turn under way: one who is %s', async (user) => {
    const store = memoryStore();
    const { agent, open } = waitingAgent(store);
    const other = agentOver(store);
    if (user === 'known') await other.edit('u1', [{ op: 'set', slot: 'age', value: 29 }]);
    const turn = agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await idle();
    if (user === 'new, and known since') await other.edit('u1', [{ op: 'set', slot: 'age', value: 29 }]);
    expect(await other.erase('u1')).toBe(user !== 'new');
    open();
    expect(await turn).toMatchObject({ reply: 'Hi', changes: [], problem: { code: 'not-stored' } });
    expect(await store.load('u1')).toBeUndefined();
  });

  it('is not brought back by an edit that was begun before', async () => {
    const inner = memoryStore();
    const { opened, open } = gate();
    const store: ProfileStore = { ...inner, load: (userId) => opened.then(() => inner.load(userId)) };
    const edit = agentOver(store).edit('u1', [{ op: 'set', slot: 'age', value: 29 }]);
    const erasure = agentOver(store).erase('u1');
    open();
    await edit;
    expect(await erasure).toBe(true);
    expect(await inner.load('u1')).toBeUndefined();
  });

  it('has what runs after the reply ended', async () => {
    const store = memoryStore();
    let asked: AbortSignal | undefined;
    const model = scriptedChatModel(({ jsonSchema, signal }) => {
      if (!jsonSchema) return 'Hi';
      asked = signal;
      return new Promise<string>(() => {});
    }, json);
    const agent = new PersonalizedAgent({ schema, store, model, mode: 'after-reply' });
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await idle();
    expect(await agentOver(store).erase('u1')).toBe(true);
    expect(asked!.aborted).toBe(true);
    await agent.settled('u1');
    expect(await store.load('u1')).toBeUndefined();
  });

  it('may begin anew', async () => {
    const store = memoryStore();
    const { agent, open } = waitingAgent(store);
    open();
    await agentOver(store).erase('u1');
    expect((await agent.respond({ userId: 'u1', message: 'I am a nurse.' })).problem).toBeUndefined();
    expect((await store.load('u1'))!.turns).toHaveLength(1);
  });
});

it('an erasure leaves nothing of a turn that began while it went on, and none of another user', async () => {
  const inner = memoryStore();
  const { opened, open: letErase } = gate();
  const store: ProfileStore = { ...inner, erase: (userId) => opened.then(() => inner.erase(userId)) };
  const erasure = agentOver(store).erase('u1');
  const { agent, open: letAnswer } = waitingAgent(store);
  const [turn, another] = ['u1', 'u2'].map((userId) => agent.respond({ userId, message: 'I am a nurse.' }));
  await idle();
  letErase();
  expect(await erasure).toBe(false);
  letAnswer();
  expect((await turn!).problem).toMatchObject({ code: 'not-stored' });
  expect((await another!).problem).toBeUndefined();
  expect([await inner.load('u1'), (await inner.load('u2'))?.turns.length]).toEqual([undefined, 1]);
});

it('an edit that is made while an erasure goes on is written after it', async () => {
  const inner = memoryStore();
  const { opened, open } = gate();
  const store: ProfileStore = { ...inner, erase: (userId) => opened.then(() => inner.erase(userId)) };
  const erasure = agentOver(store).erase('u1');
  const edit = agentOver(store).edit('u1', [{ op: 'set', slot: 'age', value: 29 }]);
  await idle();
  open();
  await Promise.all([erasure, edit]);
  expect((await inner.load('u1'))?.items).toMatchObject([{ slot: 'age', value: 29 }]);
});

describe('an erasure that fails', () => {
  /** A store that erases when the test says so, and fails the first time. */
  function failingOnce() {
    const inner = memoryStore();
    const { opened, open } = gate();
    let calls = 0;
    const erase: ProfileStore['erase'] = async (userId) => {
      await opened;
      if (++calls === 1) throw new Error('disk full');
      return inner.erase(userId);
    };
    return { store: { ...inner, erase }, letErase: open };
  }

  it.each(['before', 'during'])('costs no turn: one that began %s it is stored', async (when) => {
    const { store, letErase } = failingOnce();
    const { agent, open: letAnswer } = waitingAgent(store);
    const begin = () => agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    const before = when === 'before' ? begin() : undefined;
    await idle();
    const erasure = expect(agentOver(store).erase('u1')).rejects.toMatchObject({ code: 'store-failed' });
    const turn = before ?? begin();
    await idle();
    letAnswer(); // the write waits for the erasure
    await idle();
    letErase();
    await erasure;
    expect((await turn).problem).toBeUndefined();
    expect((await store.load('u1'))?.turns).toHaveLength(1);
    expect(await agentOver(store).erase('u1')).toBe(true);
  });

  it('does not end what runs after the reply', async () => {
    const { store, letErase } = failingOnce();
    const { opened, open: letInfer } = gate();
    const inferred = opened.then(() => JSON.stringify({ changes: [isNurse] }));
    const model = scriptedChatModel(({ jsonSchema }) => (jsonSchema ? inferred : 'Hi'), json);
    const agent = new PersonalizedAgent({ schema, store, model, mode: 'after-reply', form: 'json' });
    await agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    letErase();
    await expect(agentOver(store).erase('u1')).rejects.toMatchObject({ code: 'store-failed' });
    letInfer();
    await agent.settled('u1');
    expect((await agent.profile('u1')).values.occupation).toBe('nurse');
  });

  it('because it took too long still keeps turns out when the store is done with it in the end', async () => {
    const inner = memoryStore();
    const { opened, open: letErase } = gate();
    const store: ProfileStore = { ...inner, erase: (userId) => opened.then(() => inner.erase(userId)) };
    const { agent, open: letAnswer } = waitingAgent(store);
    const turn = agent.respond({ userId: 'u1', message: 'I am a nurse.' });
    await expect(agentOver(store).erase('u1', { timeoutMs: 20 })).rejects.toMatchObject({ code: 'timeout' });
    letErase();
    await idle();
    letAnswer();
    expect((await turn).problem).toMatchObject({ code: 'not-stored' });
    expect(await inner.load('u1')).toBeUndefined();
  });
});
