import { describe, expect, it } from 'vitest';
import type { Episode } from '../../src/environment/index';
import { RlpaError } from '../../src/errors';
import type { Policy, PolicyState } from '../../src/policy/index';
import { DualReward, responseReward } from '../../src/reward/index';
import { generatePersonas, SimulatedUser, scriptedBehaviour, type UserBehaviour } from '../../src/simulation/index';
import { action, environmentOf, persona, policyOf, turn } from './policies';

const personas = generatePersonas({ count: 12, seed: 1 });
const questions = ['What do you do for a living?', 'Which city is your home?', 'Do you have any hobbies?', 'How old are you?'];
/** Asks one thing after the other; its seed shows in its words. */
const asking = () => policyOf(({ messages, seed }) => turn({}, `${questions[(messages.length / 2 - 1) % 4]} It is day ${seed % 1000}.`));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const said = (episodes: readonly Episode[]) => episodes.map(({ turns }) => turns.map(({ userMessage, reply }) => [userMessage, reply]));
const failing = (code: 'model-unreachable' | 'model-failed', from: (id: string, turn: number) => boolean): UserBehaviour => ({
  name: 'failing',
  reply: async ({ persona, turn }) => {
    if (from(persona.id, turn)) throw new RlpaError(code, 'no answer');
    return { text: 'Well.' };
  },
});

describe('a rollout', () => {
  it('plays one dialogue with each persona, in order, all of them batched where users answer at once', async () => {
    const policy = asking();
    const finished: string[] = [];
    const environment = environmentOf({ maxTurns: 4 });
    const episodes = await environment.rollout({ policy, personas, seed: 3, onEpisode: ({ id }) => finished.push(id) });
    expect(episodes.map(({ personaId }) => personaId)).toEqual(personas.map(({ id }) => id));
    expect(policy.batches.map((batch) => batch.length)).toEqual([12, 12, 12, 12]);
    expect(episodes.every(({ end, turns, nextState }) => end === 'truncated' && turns.length === 4 && nextState)).toBe(true);
    expect(finished.sort()).toEqual(episodes.map(({ id }) => id).sort());
    expect(policy.released.sort()).toEqual(finished);
    expect(new Set(finished).size).toBe(12);
    const told = episodes.flatMap(({ turns }) => turns.flatMap(({ disclosed }) => disclosed)).length;
    expect(told).toBeGreaterThan(12);
  });

  it('gives the same for the same seed, however many dialogues run at once, and something else for another seed', async () => {
    const run = async (seed: number, concurrency?: number) =>
      said(await environmentOf({ maxTurns: 4 }).rollout({ policy: asking(), personas, seed, concurrency }));
    const first = await run(3);
    expect(await run(3, 1)).toEqual(first);
    expect(await run(3, 5)).toEqual(first);
    expect(await run(4)).not.toEqual(first);
  });

  it('gives two dialogues with one persona different fates', async () => {
    const [a, b] = said(
      await environmentOf({ maxTurns: 6 }).rollout({ policy: asking(), personas: [personas[0]!, personas[0]!], seed: 3 }),
    );
    expect(a).not.toEqual(b);
  });

  it('runs no more dialogues at once than it may', async () => {
    const policy = asking();
    await environmentOf({ maxTurns: 3 }).rollout({ policy, personas, seed: 3, concurrency: 5 });
    expect(Math.max(...policy.batches.map((batch) => batch.length))).toBe(5);
    expect(policy.batches.reduce((sum, batch) => sum + batch.length, 0)).toBe(36);
  });

  it('lets those that are ready go ahead while a slow user thinks', async () => {
    const slow = personas[0]!.id;
    const behaviour: UserBehaviour = {
      name: 'one is slow',
      reply: async ({ persona }) => {
        if (persona.id === slow) await pause(150);
        return { text: 'Well.' };
      },
    };
    const finished: string[] = [];
    const policy = asking();
    await environmentOf({ behaviour, maxTurns: 3 }).rollout({
      policy,
      personas,
      seed: 3,
      onEpisode: ({ personaId }) => finished.push(personaId),
    });
    expect(finished.at(-1)).toBe(slow);
    expect(policy.batches.filter((batch) => batch.length === 11).length).toBeGreaterThanOrEqual(2);
  });

  it('asks for actions at the temperature that it is told', async () => {
    const seen: unknown[] = [];
    const policy = asking();
    const watched = {
      ...policy,
      act: (...[states, options]: Parameters<typeof policy.act>) => {
        seen.push(options?.temperature);
        return policy.act(states, options);
      },
    };
    await environmentOf({ maxTurns: 1 }).rollout({ policy: watched, personas, seed: 3, temperature: 0 });
    await environmentOf({ maxTurns: 1 }).rollout({ policy: watched, personas, seed: 3 });
    expect(seen).toEqual([0, undefined]);
  });

  it('samples several actions a turn, each with a seed of its own, in one batch', async () => {
    const policy = asking();
    const episodes = await environmentOf({ maxTurns: 2, samplesPerTurn: 3 }).rollout({ policy, personas, seed: 3 });
    expect(policy.batches.map((batch) => batch.length)).toEqual([36, 36]);
    expect(new Set(policy.batches.flat().map(({ seed }) => seed)).size).toBe(72);
    expect(episodes.every(({ turns }) => turns.every(({ alternatives }) => alternatives?.length === 2))).toBe(true);
    const plain = await environmentOf({ maxTurns: 2, samplesPerTurn: 3 }).rollout({
      policy: asking(),
      personas,
      seed: 3,
      samplesPerTurn: 1,
    });
    expect(said(plain)).toEqual(said(episodes));
  });

  it('goes on with the best action where that is asked for', async () => {
    const policy = policyOf(({ seed }) => turn(seed % 2 === 0 ? { age: 1 } : { age: 34 }, 'Hm.'));
    const episodes = await environmentOf({ maxTurns: 5, samplesPerTurn: 8 }).rollout({
      policy,
      personas: [persona],
      seed: 3,
      continuation: 'best',
    });
    expect(episodes[0]!.turns.map(({ profile }) => profile.values.age)).toEqual([34, 34, 34, 34, 34]);
  });

  it('of nobody is empty', async () => {
    expect(await environmentOf().rollout({ policy: asking(), personas: [], seed: 1 })).toEqual([]);
  });
});

describe('what fails in a rollout', () => {
  it('ends the episode of a user who cannot be had; the turns before stand, and the others go on', async () => {
    const [first, second] = personas.map(({ id }) => id);
    const behaviour = failing('model-failed', (id, turn) => (id === first && turn === 3) || (id === second && turn === 1));
    const user = new SimulatedUser({ behaviour });
    const episodes = await environmentOf({ user, maxTurns: 4 }).rollout({ policy: asking(), personas, seed: 3 });
    expect(episodes.map(({ end, turns }) => [end, turns.length])).toEqual([
      ['failed', 2],
      ['failed', 0],
      ...Array(10).fill(['truncated', 4]),
    ]);
    expect(episodes[0]!.failure).toBe('model-failed: no answer');
  });

  it('stops the run when no user at all can be reached', async () => {
    const run = (behaviour: UserBehaviour) => environmentOf({ behaviour, maxTurns: 4 }).rollout({ policy: asking(), personas, seed: 3 });
    await expect(run(failing('model-unreachable', (_, turn) => turn > 2))).rejects.toMatchObject({ code: 'model-unreachable' });
    expect(
      (await run(failing('model-unreachable', (id, turn) => turn > 2 && id !== personas[0]!.id))).filter(({ end }) => end === 'failed'),
    ).toHaveLength(11);
    expect((await run(failing('model-failed', (_, turn) => turn > 2))).every(({ end }) => end === 'failed')).toBe(true);
  });

  it('stops the run when the judge cannot be reached, but only masks the turns of one that fails', async () => {
    const reward = (code: 'model-unreachable' | 'model-failed') => {
      const judge = {
        name: 'failing',
        judge: async () => {
          throw new RlpaError(code, 'no verdict');
        },
      };
      return new DualReward({ response: responseReward({ judge }) });
    };
    const run = (code: 'model-unreachable' | 'model-failed') =>
      environmentOf({ reward: reward(code), maxTurns: 2 }).rollout({ policy: asking(), personas, seed: 3 });
    await expect(run('model-unreachable')).rejects.toMatchObject({
      code: 'model-unreachable',
      message: expect.stringContaining('could be judged'),
    });
    const masked = await run('model-failed');
    expect(masked.flatMap(({ turns }) => turns.map(({ reward: { status } }) => status))).toEqual(Array(24).fill('unjudged'));
  });

  it.each(['model-unreachable', 'budget-exceeded'] as const)(
    'stops the run when every reply that was to be judged is %s, however many outputs were malformed and never shown to the judge',
    async (code) => {
      const judge = {
        name: 'failing',
        judge: async () => {
          throw new RlpaError(code, 'no verdict');
        },
      };
      const reward = new DualReward({ response: responseReward({ judge }) });
      const run = (isMalformed: (state: PolicyState) => boolean, samplesPerTurn = 1) => {
        const policy = policyOf((state) => (isMalformed(state) ? action('Hm.') : turn({}, 'Hm.')));
        return environmentOf({ reward, maxTurns: 2, samplesPerTurn }).rollout({ policy, personas, seed: 3 });
      };
      const isFirst = ({ dialogueId, messages }: PolicyState) => dialogueId.endsWith(personas[0]!.id) && messages.length === 2;
      await expect(run(isFirst)).rejects.toMatchObject({ code, message: expect.stringContaining('None of 23 replies could be judged') });
      await expect(run((state) => !isFirst(state))).rejects.toMatchObject({ code });
      // samples that the dialogue does not go on with are judged as well
      await expect(run(({ seed }) => seed % 2 === 0, 4)).rejects.toMatchObject({ code });
      expect((await run(() => true)).flatMap(({ turns }) => turns.map(({ reward: { status } }) => status))).toEqual(
        Array(24).fill('malformed'),
      );
    },
  );

  it('ends the episode of which an action could not be had, and no other; all of them without an endpoint stop the run', async () => {
    const failing = (code: 'timeout' | 'model-unreachable', fails: (state: PolicyState) => boolean): Policy => ({
      name: 'failing',
      act: async (states) => states.map((state) => (fails(state) ? new RlpaError(code, 'no action') : turn({}, 'Hm.'))),
    });
    const second = ({ dialogueId, messages }: PolicyState) => dialogueId.endsWith(personas[0]!.id) && messages.length > 2;
    const episodes = await environmentOf({ maxTurns: 3 }).rollout({ policy: failing('timeout', second), personas, seed: 3 });
    expect(episodes.map(({ end, turns }) => [end, turns.length])).toEqual([['failed', 1], ...Array(11).fill(['truncated', 3])]);
    expect(episodes[0]!.failure).toBe('timeout: no action');
    const dead = failing('model-unreachable', ({ messages }) => messages.length > 2);
    await expect(environmentOf({ maxTurns: 3 }).rollout({ policy: dead, personas, seed: 3 })).rejects.toMatchObject({
      code: 'model-unreachable',
      message: expect.stringContaining('no action'),
    });
  });

  it('is a dialogue that has grown longer than the policy can read: it is truncated there and says so', async () => {
    const most = (messages: number) => ({
      ...asking(),
      canRead: (state: Pick<PolicyState, 'messages'>) => state.messages.length <= messages,
    });
    const play = (messages: number, maxTurns: number) =>
      environmentOf({ maxTurns }).rollout({ policy: most(messages), personas: [persona], seed: 3 });
    // instruction and message, and two more with every turn: the third state has six
    const [early] = await play(4, 5);
    expect(early).toMatchObject({ end: 'truncated', tooLong: true });
    expect(early!.turns).toHaveLength(2);
    expect(early!.nextState).toBeUndefined();
    const [short] = await play(6, 2);
    expect(short!.tooLong).toBeUndefined();
    expect(short!.nextState).toBeDefined();
    await expect(play(1, 2)).rejects.toMatchObject({ code: 'invalid-option', message: expect.stringContaining('cannot read') });
  });

  it('is not a dialogue that took all its turns, though the state after them is longer than the policy can read', async () => {
    const policy = { ...asking(), canRead: ({ messages }: Pick<PolicyState, 'messages'>) => messages.length <= 4 };
    const [atTheLimit] = await environmentOf({ maxTurns: 2 }).rollout({ policy, personas: [persona], seed: 3 });
    expect(atTheLimit!.turns).toHaveLength(2);
    expect(atTheLimit).toMatchObject({ end: 'truncated' });
    expect(atTheLimit!.tooLong).toBeUndefined();
    expect(atTheLimit!.nextState).toBeUndefined();
  });

  it('is the whole run when the policy fails, also where its error reads like that of a user', async () => {
    for (const error of [new Error('out of memory'), new RlpaError('model-unreachable', 'policy endpoint')]) {
      const policy = policyOf(() => Promise.reject(error));
      await expect(environmentOf().rollout({ policy, personas, seed: 3 })).rejects.toBe(error);
      expect(policy.released).toHaveLength(12);
    }
  });

  it('is the whole run when the policy gives too few actions', async () => {
    const short = { name: 'short', act: async () => [] };
    await expect(environmentOf().rollout({ policy: short, personas, seed: 3 })).rejects.toMatchObject({ code: 'model-failed' });
  });

  it('ends the episodes whose batch took too long, naming the option, and no others', async () => {
    const stuck = personas[0]!.id;
    let finished = 0;
    let proceed = () => {};
    const others = new Promise<void>((resolve) => {
      proceed = resolve;
    });
    const behaviour: UserBehaviour = {
      name: 'one comes last',
      reply: async ({ persona }) => {
        if (persona.id === stuck) await others;
        return { text: 'Well.' };
      },
    };
    const policy = policyOf(({ dialogueId }) => (dialogueId.endsWith(stuck) ? new Promise<never>(() => {}) : turn({}, 'Hm.')));
    const user = new SimulatedUser({ behaviour });
    const onEpisode = () => ++finished === 11 && proceed();
    const episodes = await environmentOf({ user, maxTurns: 2, actionTimeoutMs: 50 }).rollout({ policy, personas, seed: 3, onEpisode });
    expect(episodes.map(({ end, turns }) => [end, turns.length])).toEqual([['failed', 0], ...Array(11).fill(['truncated', 2])]);
    expect(episodes[0]!.failure).toBe('timeout: The policy "by hand" with a batch of 1 (option actionTimeoutMs) took longer than 50 ms.');
  });

  it('is nothing but the abort when the signal fires, wherever it waits', async () => {
    const never = () => new Promise<never>(() => {});
    const waits: [string, () => Promise<unknown>][] = [
      ['policy', () => environmentOf().rollout({ policy: { name: 'p', act: never }, personas, seed: 3, signal: AbortSignal.timeout(10) })],
      [
        'user',
        () =>
          environmentOf({ user: new SimulatedUser({ behaviour: { name: 'u', reply: never } }) }).rollout({
            policy: asking(),
            personas,
            seed: 3,
            signal: AbortSignal.timeout(10),
          }),
      ],
      [
        'judge',
        () =>
          environmentOf({ reward: new DualReward({ response: responseReward({ judge: { name: 'j', judge: never } }) }) }).rollout({
            policy: asking(),
            personas,
            seed: 3,
            signal: AbortSignal.timeout(10),
          }),
      ],
      ['before', () => environmentOf().rollout({ policy: asking(), personas, seed: 3, signal: AbortSignal.abort() })],
    ];
    for (const [where, run] of waits) await expect(run(), where).rejects.toMatchObject({ code: 'aborted' });
  });

  it('is refused at the door where the options make no sense', async () => {
    const policy = asking();
    for (const option of [{ concurrency: 0 }, { samplesPerTurn: 0.5 }]) {
      await expect(environmentOf().rollout({ policy, personas, seed: 3, ...option })).rejects.toMatchObject({ code: 'invalid-option' });
    }
    expect(policy.batches).toEqual([]);
  });

  it('puts a single listener on the signal it was given, and takes it off', async () => {
    const { signal } = new AbortController();
    const change: number[] = [];
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      change.push(1);
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      change.push(-1);
      remove(...args);
    };
    await environmentOf({ maxTurns: 2, samplesPerTurn: 2 }).rollout({ policy: asking(), personas, seed: 3, signal });
    expect(change).toEqual([1, -1]);
  });
});

describe('with users who ask and answer', () => {
  it('a policy that asks learns most of the profile within ten turns', async () => {
    const more = [
      ...questions,
      'Are you married?',
      'Do you have family?',
      'What did you study?',
      'How would you describe yourself?',
      'Anything else about you?',
      'What do you enjoy?',
    ];
    const policy = policyOf(({ messages }) => turn({}, more[messages.length / 2 - 1]!));
    const environment = environmentOf({ user: new SimulatedUser({ behaviour: scriptedBehaviour(), firstMessage: 'Hello' }) });
    const episodes = await environment.rollout({ policy, personas, seed: 3 });
    const share = episodes.map(({ turns }) => turns.reduce((sum, { disclosed }) => sum + disclosed.length, 0) / turns[0]!.golden.size);
    expect(share.reduce((sum, each) => sum + each, 0) / share.length).toBeGreaterThan(0.65);
  });
});
