import { describe, expect, it } from 'vitest';
import { openAIChat } from '../../src/chat/index';
import { DialogueEnvironment } from '../../src/environment/index';
import { compareReports, evaluate } from '../../src/evaluation/index';
import { chatPolicy } from '../../src/policy/chat-policy';
import type { PolicyState } from '../../src/policy/policy';
import { formatTurn, ProfileSchema } from '../../src/profile/index';
import { DualReward, responseReward, rubricJudge } from '../../src/reward/index';
import { generatePersonas, type Persona, SimulatedUser, scriptedBehaviour, type UserBehaviour } from '../../src/simulation/index';
import { scriptedChatModel } from '../../src/testing/index';

const personas = generatePersonas({ count: 6, seed: 1, split: 'held-out' });
const environment = new DialogueEnvironment({
  schema: ProfileSchema.standard,
  user: new SimulatedUser({ behaviour: scriptedBehaviour(), firstMessage: 'Hello' }),
  reward: new DualReward(),
  maxTurns: 3,
});

/** Says the same to everybody and believes the same of everybody: what is true of the first persona. */
const believesAllAreTheFirst = () =>
  chatPolicy(scriptedChatModel(() => formatTurn(personas[0]!.profile, 'And what do you do for a living?'), { name: 'first' }));
const knowsNothing = () => chatPolicy(scriptedChatModel(() => 'Hello, how can I help?', { name: 'formless' }));

describe('evaluate', () => {
  it('talks to each user once and measures it by the rewards of the environment', async () => {
    const report = await evaluate({ policy: believesAllAreTheFirst(), environment, personas, seed: 1 });
    expect(report).toMatchObject({ policy: 'first', users: 6, temperature: 0, malformedRate: { mean: 0 }, failures: [], unjudged: 0 });
    expect(report.perUser.map((user) => user.personaId)).toEqual(personas.map((persona) => persona.id));
    expect(report.perUser[0]!.profileF1).toEqual([1, 1, 1]);
    expect(report.profileF1Last.mean).toBeLessThan(1);
    expect(report.turns).toHaveLength(3);
  });

  it('counts a policy that does not keep the form as malformed, knowing nothing, and not aligned', async () => {
    const report = await evaluate({ policy: knowsNothing(), environment, personas, seed: 1 });
    expect(report).toMatchObject({ malformedRate: { mean: 1 }, average: { mean: 0 }, profileF1Last: { mean: 0 } });
  });

  it('gives the same numbers for the same seed, and users that compareReports can pair', async () => {
    const first = await evaluate({ policy: believesAllAreTheFirst(), environment, personas, seed: 3 });
    expect(await evaluate({ policy: believesAllAreTheFirst(), environment, personas, seed: 3, concurrency: 2 })).toEqual(first);
    const before = await evaluate({ policy: knowsNothing(), environment, personas, seed: 3 });
    expect(compareReports(before, first).users).toBe(6);
  });

  it('asks its users for as many messages as there are turns, and no more', async () => {
    let asked = 0;
    const scripted = scriptedBehaviour();
    const behaviour: UserBehaviour = {
      name: 'counted',
      reply: (request) => {
        asked++;
        return scripted.reply(request);
      },
    };
    const counted = new DialogueEnvironment({
      schema: ProfileSchema.standard,
      user: new SimulatedUser({ behaviour }),
      reward: new DualReward(),
      maxTurns: 3,
    });
    const report = await evaluate({ policy: knowsNothing(), environment: counted, personas, seed: 1 });
    expect(report.perUser.map(({ end, alignment }) => [end, alignment.length])).toEqual(Array(6).fill(['truncated', 3]));
    expect(asked).toBe(6 * 3);
  });

  it('counts as too long only what ended before its last turn', async () => {
    // an instruction, and by the third turn three messages of the user and two outputs
    const reading = (most: number) =>
      Object.assign(knowsNothing(), { canRead: ({ messages }: Pick<PolicyState, 'messages'>) => messages.length <= most });
    expect(await evaluate({ policy: reading(6), environment, personas, seed: 1 })).toMatchObject({ tooLong: 0 });
    expect(await evaluate({ policy: reading(5), environment, personas, seed: 1 })).toMatchObject({ tooLong: 6 });
  });

  it('reports nothing where the judge cannot be reached, though an output is malformed and needs no judge', async () => {
    let outputs = 0;
    const policy = chatPolicy(scriptedChatModel(() => (outputs++ === 0 ? 'Hm.' : formatTurn(personas[0]!.profile, 'Hm.')), { name: 'p' }));
    const judge = rubricJudge({ model: openAIChat({ model: 'judge', baseURL: 'http://127.0.0.1:9/v1', apiKey: 'none', maxRetries: 0 }) });
    const judged = new DialogueEnvironment({
      schema: ProfileSchema.standard,
      user: environment.user,
      reward: new DualReward({ response: responseReward({ judge }) }),
      maxTurns: 3,
    });
    await expect(evaluate({ policy, environment: judged, personas, seed: 1 })).rejects.toMatchObject({
      code: 'model-unreachable',
      message: expect.stringContaining('None of 17 replies could be judged.'),
    });
  });

  it('reports progress as dialogues end', async () => {
    const progress: number[] = [];
    await evaluate({ policy: knowsNothing(), environment, personas, seed: 1, onProgress: ({ done }) => progress.push(done) });
    expect(progress).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('stops when its signal fires', async () => {
    const signal = AbortSignal.abort();
    await expect(evaluate({ policy: knowsNothing(), environment, personas, seed: 1, signal })).rejects.toMatchObject({ code: 'aborted' });
  });

  it('refuses a reward that leaves out what it is to measure, and the same user twice', async () => {
    const half = new DialogueEnvironment({
      schema: ProfileSchema.standard,
      user: environment.user,
      reward: new DualReward({ parts: 'profile' }),
    });
    const refused = { code: 'invalid-option' };
    await expect(evaluate({ policy: knowsNothing(), environment: half, personas, seed: 1 })).rejects.toMatchObject(refused);
    const twice: Persona[] = [personas[0]!, personas[0]!];
    await expect(evaluate({ policy: knowsNothing(), environment, personas: twice, seed: 1 })).rejects.toMatchObject(refused);
  });
});
