import { describe, expect, it } from 'vitest';
import { parseEpisode, serializeEpisode } from '../../src/environment/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { DualReward } from '../../src/reward/index';
import { action, environmentOf, persona, policyOf, schema, turn } from './policies';

async function episode() {
  const policy = policyOf(({ seed, messages }) => ({
    ...(messages.length === 4 ? action('broken') : turn({ age: 34, interests: ['chess'] }, `What do you do? ${seed % 7}`)),
    tokens: {
      prompt: Int32Array.of(1, 2, 3),
      completion: Int32Array.of(4, 5),
      logProbs: Float32Array.of(-0.1, -2.7182817),
      values: Float32Array.of(0.3, 1e-7),
      version: 2,
    },
  }));
  const environment = environmentOf({ maxTurns: 3, samplesPerTurn: 2, reward: new DualReward() });
  return (await environment.rollout({ policy, personas: [persona], seed: 5 }))[0]!;
}

// biome-ignore lint/suspicious/noExplicitAny: what a test breaks has no type
type Damage = [what: string, damage: (episode: { plain: any; turn: any }) => unknown];

describe('an episode as JSON', () => {
  it('is one line that gives back everything: states, actions, tokens, reward parts, verdicts, disclosure', async () => {
    const whole = await episode();
    const line = serializeEpisode(whole);
    expect(line).not.toContain('\n');
    const back = parseEpisode(line, schema);
    expect(back.turns[0]!.action.tokens!.logProbs).toEqual(whole.turns[0]!.action.tokens!.logProbs);
    expect(back.turns[0]!.profile.toJSON()).toEqual({ age: 34, interests: ['chess'] });
    expect(back.turns[0]!.reward.response!.logic).toEqual(whole.turns[0]!.reward.response!.logic);
    expect(back.turns[1]!.problem).toEqual(whole.turns[1]!.problem);
    expect(back.nextState).toEqual(whole.nextState);
    expect(JSON.parse(serializeEpisode(back))).toEqual(JSON.parse(line));
    expect(back.turns.map(({ profile }) => profile.version)).toEqual(whole.turns.map(({ profile }) => profile.version));
  });

  it('is refused where it is not one, or speaks of another schema', async () => {
    expect(() => parseEpisode('{"id": 1', schema)).toThrow(expect.objectContaining({ code: 'invalid-file' }));
    expect(() => parseEpisode('{"id": "a"}', schema)).toThrow(expect.objectContaining({ code: 'invalid-file' }));
    expect(() => parseEpisode('null', schema)).toThrow(expect.objectContaining({ code: 'invalid-file' }));
    const line = serializeEpisode(await episode());
    const other = ProfileSchema.define({ facts: slot.open() });
    expect(() => parseEpisode(line, other)).toThrow(expect.objectContaining({ code: 'invalid-profile' }));
  });

  it.each([
    ['an end that there is not', ({ plain }) => (plain.end = 'x')],
    ['turns that are no list', ({ plain }) => (plain.turns = { length: 0 })],
    ['a turn that is none', ({ plain }) => (plain.turns[0] = null)],
    ...['action', 'profile', 'golden', 'reward'].map((part): Damage => [`no ${part}`, ({ turn }) => delete turn[part]]),
    ['an action that is a text', ({ turn }) => (turn.action = 'Hi')],
    ['a profile that is a list', ({ turn }) => (turn.profile = [])],
    ['tokens without values', ({ turn }) => delete turn.action.tokens.values],
    ['alternatives that are no list', ({ turn }) => (turn.alternatives = {})],
    ['an alternative that was not judged', ({ turn }) => delete turn.alternatives[0].reward],
  ] as Damage[])('is refused with %s', async (_, damage) => {
    const plain = JSON.parse(serializeEpisode(await episode()));
    damage({ plain, turn: plain.turns[0] });
    expect(() => parseEpisode(JSON.stringify(plain), schema)).toThrow(expect.objectContaining({ code: 'invalid-file' }));
  });
});
