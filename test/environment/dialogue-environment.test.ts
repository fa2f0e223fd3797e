import { describe, expect, it } from 'vitest';
import { DialogueEnvironment } from '../../src/environment/index';
import { RlpaError } from '../../src/errors';
import { formatInstructions, ProfileSchema, slot } from '../../src/profile/index';
import { DualReward, responseReward } from '../../src/reward/index';
import { type Persona, replayBehaviour, SimulatedUser } from '../../src/simulation/index';
import { action, environmentOf, persona, saying, schema, turn } from './policies';

describe('the first state', () => {
  it("is the instruction and the user's first message", async () => {
    const state = await environmentOf().reset({ persona, seed: 1 });
    expect(state.policyState.messages).toEqual([
      { role: 'system', content: formatInstructions(schema) },
      { role: 'user', content: 'Hello' },
    ]);
    expect(state).toMatchObject({ turn: 1, disclosed: [], policyState: { dialogueId: 'ada' } });
    expect(state.profile.size).toBe(0);
  });

  it('is refused to a persona whose slots the schema does not have', async () => {
    const { id, profile } = persona;
    const narrow = ProfileSchema.define({ facts: slot.open() });
    const environment = environmentOf({ schema: narrow });
    await expect(environment.reset({ persona: { id, profile }, seed: 1 })).rejects.toMatchObject({
      code: 'invalid-persona',
      details: { slot: 'age' },
    });
  });
});

describe('a step', () => {
  it('records what the policy saw, did and earned, and what the user told', async () => {
    const environment = environmentOf({ behaviour: saying('', 'I am a nurse.', 'Bye.') });
    const first = await environment.reset({ persona, seed: 1 });
    const { state: second, end } = await environment.step(first, turn({}, 'Hi! What do you do for a living?'));
    expect(end).toBeUndefined();
    expect(second!.disclosed.map(({ text }) => text)).toEqual(['nurse']);
    const { turn: recorded, reward } = await environment.step(second!, turn({ occupation: 'nurse' }, 'A nurse! Since when?'));
    expect(recorded).toMatchObject({ turn: 2, userMessage: 'I am a nurse.', reply: 'A nurse! Since when?', state: second!.policyState });
    expect(recorded.disclosed.map(({ text }) => text)).toEqual(['nurse']);
    expect(recorded.golden).toBe(persona.profile);
    // One of one inferred item is right, one of five golden ones is known: F1 = 2·1 / (1 + 5)
    expect(reward).toMatchObject({ status: 'scored', total: 1 / 3 });
    expect(recorded.problem).toBeUndefined();
  });

  it('shows the reward everything up to the message that is answered, and what was told by then', async () => {
    const seen: unknown[] = [];
    const judge = {
      name: 'onlooker',
      judge: async ({
        dialogue,
        disclosed,
        golden,
      }: {
        dialogue: readonly unknown[];
        disclosed: readonly { text: string }[];
        golden: unknown;
      }) => {
        seen.push([dialogue.length, disclosed.map(({ text }) => text), golden === persona.profile]);
        throw new RlpaError('model-failed', 'no verdict');
      },
    };
    const environment = environmentOf({
      behaviour: saying('', 'I am a nurse.', 'In Oslo.'),
      reward: new DualReward({ response: responseReward({ judge }) }),
    });
    const first = await environment.reset({ persona, seed: 1 });
    const { state: second, reward } = await environment.step(first, turn({}, 'Hi!'));
    expect(reward).toMatchObject({ status: 'unjudged', failure: 'model-failed: no verdict' });
    await environment.step(second!, turn({}, 'I see.'));
    expect(seen).toEqual([
      [1, [], true],
      [3, ['nurse'], true],
    ]);
  });

  it('can be taken once from a state', async () => {
    const environment = environmentOf();
    const state = await environment.reset({ persona, seed: 1 });
    await environment.step(state, turn({}, 'Hi!'));
    await expect(environment.step(state, turn({}, 'Hi again!'))).rejects.toMatchObject({ code: 'invalid-option' });
  });

  it('leaves a turn unjudged when its reward takes too long', async () => {
    const judge = { name: 'silent', judge: () => new Promise<never>(() => {}) };
    const environment = environmentOf({ rewardTimeoutMs: 10, reward: new DualReward({ response: responseReward({ judge }) }) });
    const { reward, state } = await environment.step(await environment.reset({ persona, seed: 1 }), turn({}, 'Hi!'));
    expect(reward.status).toBe('unjudged');
    expect(reward.failure).toContain('timeout');
    expect(environment.reward.counts).toMatchObject({ unjudged: 1, failures: { timeout: 1 } });
    expect(state).toBeDefined();
  });
});

describe('output that breaks the form', () => {
  it('earns the fixed low reward, leaves the last valid profile in force, and shows the user its reply', async () => {
    const environment = environmentOf({ behaviour: saying('', 'I am a nurse.', 'Okay.', 'Hm.') });
    let state = await environment.reset({ persona, seed: 1 });
    state = (await environment.step(state, turn({ occupation: 'nurse' }, 'Hi!'))).state!;
    const broken = await environment.step(state, action('<profile>\n- Shoe size: 40\n</profile>\n\n<response>\nNice.\n</response>'));
    expect(broken.reward).toEqual({ total: -0.2, status: 'malformed' });
    expect(broken.turn).toMatchObject({ reply: 'Nice.', problem: { code: 'unknown-slot' } });
    expect(broken.turn.profile.toJSON()).toEqual({ occupation: 'nurse' });
    expect(broken.state!.dialogue.at(-2)).toEqual({ role: 'assistant', content: 'Nice.' });
  });

  it('shows the user "…" where no reply can be told', async () => {
    const environment = environmentOf();
    const { turn: recorded } = await environment.step(await environment.reset({ persona, seed: 1 }), action('<profile>\n- Age'));
    expect(recorded.reply).toBe('…');
  });

  it('is also what ran into the token limit', async () => {
    const environment = environmentOf();
    const cut = { ...turn({ age: 34 }, 'Hi!'), finishReason: 'length' as const };
    const { turn: recorded, reward } = await environment.step(await environment.reset({ persona, seed: 1 }), cut);
    expect(reward.status).toBe('malformed');
    expect(recorded).toMatchObject({ reply: 'Hi!', problem: { code: 'no-end' } });
    expect(recorded.profile.size).toBe(0);
  });
});

describe("the policy's earlier outputs", () => {
  const tokens = (...completion: number[]) => ({
    prompt: Int32Array.of(1),
    completion: Int32Array.from(completion),
    logProbs: new Float32Array(completion.length),
    values: new Float32Array(completion.length),
    version: 0,
  });
  const outputs = [
    { ...turn({ age: 34 }, 'One.'), tokens: tokens(5, 6) },
    { ...action('<profile> broken'), tokens: tokens(7) },
    { ...turn({ age: 34 }, 'Three.'), tokens: tokens(8, 9) },
  ];

  async function prompts(history: 'keep' | 'strip') {
    const environment = environmentOf({ history });
    let state = await environment.reset({ persona, seed: 1 });
    const messages = [state.policyState.messages];
    for (const output of outputs) {
      state = (await environment.step(state, output)).state!;
      messages.push(state.policyState.messages);
    }
    return messages;
  }

  it('stay word for word and token for token when the history is kept, so that each prompt begins with the one before', async () => {
    const messages = await prompts('keep');
    for (let i = 1; i < messages.length; i++) expect(messages[i]!.slice(0, messages[i - 1]!.length)).toEqual(messages[i - 1]);
    expect(messages.at(-1)!.filter(({ role }) => role === 'assistant')).toEqual([
      { role: 'assistant', content: outputs[0]!.text, tokens: [5, 6] },
      { role: 'assistant', content: '<profile> broken', tokens: [7] },
      { role: 'assistant', content: outputs[2]!.text, tokens: [8, 9] },
    ]);
  });

  it('keep the profile block only in the latest when the history is stripped', async () => {
    const messages = await prompts('strip');
    expect(messages.at(-1)!.filter(({ role }) => role === 'assistant')).toEqual([
      { role: 'assistant', content: 'One.' },
      { role: 'assistant', content: '…' },
      { role: 'assistant', content: outputs[2]!.text, tokens: [8, 9] },
    ]);
  });
});

describe('the end of a dialogue', () => {
  it('is a truncation at the turn limit: the next state is there, for its value', async () => {
    const environment = environmentOf({ maxTurns: 2 });
    const first = await environment.step(await environment.reset({ persona, seed: 1 }), turn({}, 'Hi!'));
    expect(first.end).toBeUndefined();
    const second = await environment.step(first.state!, turn({}, 'I see.'));
    expect(second.end).toBe('truncated');
    expect(second.state!.policyState.messages).toHaveLength(1 + 2 * 2 + 1);
  });

  it('asks the user for no message beyond the turn limit where the value of the next state is not wanted', async () => {
    let asked = 0;
    const behaviour = { name: 'counted', reply: async () => ({ text: `Message ${++asked}.` }) };
    const environment = environmentOf({ behaviour, maxTurns: 2 });
    const first = await environment.step(await environment.reset({ persona, seed: 1 }), turn({}, 'Hi!'), { bootstrap: false });
    const second = await environment.step(first.state!, turn({}, 'I see.'), { bootstrap: false });
    expect(second).toMatchObject({ end: 'truncated', reward: { status: 'scored' } });
    expect(second.state).toBeUndefined();
    expect(asked).toBe(1); // the first message is fixed
  });

  it('is a termination when the user has nothing more to say: that message is still answered', async () => {
    const recorded: Persona = { ...persona, messages: ['Hi', 'Bye'] };
    const environment = environmentOf({ user: new SimulatedUser({ behaviour: replayBehaviour() }), maxTurns: 2 });
    const first = await environment.step(await environment.reset({ persona: recorded, seed: 1 }), turn({}, 'Hi!'));
    expect(first.end).toBeUndefined();
    const second = await environment.step(first.state!, turn({}, 'Bye!'));
    expect(second).toMatchObject({ end: 'terminated', turn: { userMessage: 'Bye' } });
    expect(second.state).toBeUndefined();
  });

  it('is that termination at the turn limit too, whether or not the value of the next state is wanted', async () => {
    const recorded: Persona = { ...persona, messages: ['Bye'] };
    const environment = environmentOf({ user: new SimulatedUser({ behaviour: replayBehaviour() }), maxTurns: 1 });
    for (const bootstrap of [true, false]) {
      const step = await environment.step(await environment.reset({ persona: recorded, seed: 1 }), turn({}, 'Bye!'), { bootstrap });
      expect(step.end).toBe('terminated');
    }
  });

  it('is a failure when the user cannot be had, and only costs the value of the next state at the turn limit', async () => {
    const behaviour = {
      name: 'dying',
      reply: async () => {
        throw new RlpaError('model-unreachable', 'connection refused');
      },
    };
    for (const [maxTurns, end] of [
      [5, 'failed'],
      [1, 'truncated'],
    ] as const) {
      const environment = environmentOf({ behaviour, maxTurns });
      const step = await environment.step(await environment.reset({ persona, seed: 1 }), turn({ age: 34 }, 'Hi!'));
      expect(step).toMatchObject({ end, failure: { code: 'model-unreachable' }, reward: { status: 'scored' } });
      expect(step.state).toBeUndefined();
    }
  });

  it('is not reached when the set-up is wrong: that error is thrown', async () => {
    const behaviour = {
      name: 'buggy',
      reply: async () => {
        throw new TypeError('not a function');
      },
    };
    const environment = environmentOf({ behaviour });
    await expect(environment.step(await environment.reset({ persona, seed: 1 }), turn({}, 'Hi!'))).rejects.toThrow('not a function');
  });
});

describe('a change of preferences', () => {
  it('puts another golden profile in force for the reward', async () => {
    const change = { turn: 2, profile: schema.profile({ age: 34, interests: ['poker'] }) };
    const environment = environmentOf();
    const first = await environment.step(await environment.reset({ persona: { ...persona, change }, seed: 1 }), turn({ age: 34 }, 'Hi!'));
    expect(first.reward.total).toBeCloseTo(2 / (1 + 5), 12);
    const second = await environment.step(first.state!, turn({ age: 34 }, 'I see.'));
    expect(second.reward.total).toBeCloseTo(2 / (1 + 2), 12);
    expect(second.turn.golden).toBe(change.profile);
    expect(second.turn.userMessage).toContain('poker');
  });
});

describe('several actions in one state', () => {
  const one = turn({}, 'One.');
  const two = turn({ age: 34, location: 'Oslo' }, 'Two.');
  const bad = action('no form');

  it('are all judged and recorded; the dialogue goes on with the first', async () => {
    const environment = environmentOf();
    const { turn: taken, state } = await environment.step(await environment.reset({ persona, seed: 1 }), one, { alternatives: [two, bad] });
    expect(taken).toMatchObject({ reply: 'One.', reward: { total: 0 } });
    expect(taken.alternatives!.map(({ reply, reward }) => [reply, reward.status])).toEqual([
      ['Two.', 'scored'],
      ['no form', 'malformed'],
    ]);
    expect(taken.alternatives![0]!.reward.total).toBeCloseTo(4 / (2 + 5), 12);
    expect(state!.dialogue.at(-2)!.content).toBe('One.');
  });

  it('can be gone on with by the highest reward', async () => {
    const environment = environmentOf({ continuation: 'best' });
    const { turn: taken, state } = await environment.step(await environment.reset({ persona, seed: 1 }), bad, { alternatives: [two, one] });
    expect(taken.reply).toBe('Two.');
    expect(taken.alternatives!.map(({ reply }) => reply)).toEqual(['no form', 'One.']);
    expect(state!.profile.toJSON()).toEqual({ age: 34, location: 'Oslo' });
    expect(state!.policyState.messages.at(-2)!.content).toBe(two.text);
  });
});

describe('options', () => {
  it.each([
    { maxTurns: 0 },
    { maxTurns: 1.5 },
    { samplesPerTurn: -1 },
    { actionTimeoutMs: 0 },
    { rewardTimeoutMs: Number.NaN },
    { rewardTimeoutMs: '30000' as unknown as number },
    { history: 'all' as 'keep' },
    { continuation: 'worst' as 'best' },
  ])('are refused where they make no sense: %j', (option) => {
    const [name, found] = Object.entries(option)[0]!;
    expect(() => environmentOf(option)).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: { option: name, expected: expect.any(String), found } }),
    );
  });

  it('are told to a trainer, with the weights of the reward, as far as episodes depend on them', () => {
    const reward = new DualReward({ parts: 'profile', weights: { profile: 1.5 } });
    const environment = new DialogueEnvironment({ schema, user: new SimulatedUser({ behaviour: saying() }), reward, maxTurns: 3 });
    expect(environment.conditions).toEqual({
      maxTurns: 3,
      history: 'keep',
      samplesPerTurn: 1,
      continuation: 'sampled',
      rewardParts: 'profile',
      profileWeight: 1.5,
      responseWeight: 1,
      malformedReward: -0.2,
    });
  });

  it('take a schema of any slots', () => {
    const narrow = ProfileSchema.define({ facts: slot.open() });
    const environment = new DialogueEnvironment({
      schema: narrow,
      user: new SimulatedUser({ behaviour: saying() }),
      reward: new DualReward(),
    });
    expect(environment.instruction).toContain('Facts');
  });
});
