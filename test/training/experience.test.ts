import { describe, expect, it } from 'vitest';
import type { Episode, EpisodeTurn } from '../../src/environment/index';
import type { TurnReward } from '../../src/reward/index';
import { type ExperienceOptions, gatherExperience, RewardScale } from '../../src/training/index';
import { stopToken, TabularPolicy } from './tabular-policy';
import { echo, scored, ToyEnvironment, type ToyOptions, toyPersonas } from './toy-environment';

const defaults: ExperienceOptions = { gamma: 1, lambda: 0.95, klCoefficient: 0, credit: 'dialogue', history: 'keep', maxStaleness: 0 };

async function play(policy: TabularPolicy, options: Partial<ToyOptions> = {}, count = 3): Promise<Episode[]> {
  return new ToyEnvironment({ turns: 3, reward: echo, ...options }).rollout({ policy, personas: toyPersonas.slice(0, count), seed: 11 });
}

/** The tokens at which a sequence is trained. */
const trained = ({ tokens, actionMask }: { tokens: Int32Array; actionMask: Uint8Array }) => [...tokens].filter((_, t) => actionMask[t]);

function withTurn(episode: Episode, index: number, change: (turn: EpisodeTurn) => EpisodeTurn): Episode {
  return { ...episode, turns: episode.turns.map((turn, t) => (t === index ? change(turn) : turn)) };
}

/** The total is meaningless, and must not count. */
const unjudged: TurnReward = { total: -100, status: 'unjudged', failure: 'timeout: the judge' };

describe('experience from rollouts', () => {
  it('trains on what the policy wrote and on nothing that it read', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy);
    const { dialogues, trainableTokens } = await gatherExperience(episodes, policy, defaults);
    for (const [d, episode] of episodes.entries()) {
      const written = episode.turns.flatMap(({ action }) => [...action.tokens!.completion]);
      expect(dialogues[d]!.flatMap(trained)).toEqual(written);
    }
    const all = episodes.flatMap(({ turns }) => turns.map(({ action }) => action.tokens!.completion.length));
    expect(trainableTokens).toBe(all.reduce((sum, length) => sum + length, 0));
  });

  it('puts the reward of a turn on its last token', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, { turns: 1, reward: () => scored(1) });
    // λ = 0 and no values: the return of a token is what it earned itself.
    const { dialogues } = await gatherExperience(episodes, policy, { ...defaults, lambda: 0 });
    for (const [sequence] of dialogues) {
      const returns = [...sequence!.returns].filter((_, t) => sequence!.actionMask[t]);
      expect(returns).toEqual([...returns.slice(1).map(() => 0), 1]);
    }
  });

  it('adds the value of the next state when the dialogue was truncated, and nothing when it ended', async () => {
    const policy = new TabularPolicy();
    policy.valueTable.fill(4);
    const last = async (end: Episode['end']) => {
      const { dialogues } = await gatherExperience(await play(policy, { turns: 1, end, reward: () => scored(1) }, 1), policy, {
        ...defaults,
        gamma: 0.5,
        lambda: 0,
      });
      return dialogues[0]![0]!.returns.at(-1);
    };
    expect(await last('terminated')).toBe(1);
    expect(await last('truncated')).toBe(1 + 0.5 * 4);
  });

  it('does not train on the tokens that only probe the next state', async () => {
    const policy = new TabularPolicy();
    const { dialogues } = await gatherExperience(await play(policy, { end: 'truncated' }), policy, defaults);
    for (const [sequence] of dialogues) expect(sequence!.actionMask.at(-1)).toBe(1);
    const references = policy.seen.filter(({ method }) => method === 'score reference').flatMap(({ sequences }) => sequences);
    expect(references.map(({ tokens }) => tokens.length)).toEqual(dialogues.map(([sequence]) => sequence!.tokens.length));
  });

  it('agrees with stripped history about the credit of every turn', async () => {
    // The same turns, laid out as one sequence or as three: tables of values and actions do not see the difference.
    const policy = new TabularPolicy();
    policy.valueTable.fill(0.3);
    for (const end of ['terminated', 'truncated'] as const) {
      const kept = await gatherExperience(await play(policy, { end }), policy, defaults);
      const stripped = await gatherExperience(await play(policy, { end, history: 'strip' }), policy, { ...defaults, history: 'any' });
      const returns = (experience: typeof kept) =>
        experience.dialogues.map((sequences) =>
          sequences.flatMap(({ returns: all, actionMask }) => [...all].filter((_, t) => actionMask[t])),
        );
      expect(stripped.dialogues[0]).toHaveLength(3);
      expect(returns(stripped)).toEqual(returns(kept));
    }
  });

  it('masks a turn without a verdict, and holds nothing against the others', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, { reward: () => scored(1) }, 2);
    const broken = [withTurn(episodes[0]!, 1, (turn) => ({ ...turn, reward: unjudged })), episodes[1]!];
    const { dialogues } = await gatherExperience(broken, policy, { ...defaults, lambda: 1 });
    const written = episodes[0]!.turns.map(({ action }) => [...action.tokens!.completion]);
    expect(dialogues[0]!.flatMap(trained)).toEqual([...written[0]!, ...written[2]!]);
    // Returns with λ = 1 and no values: rewards to come. A verdict that is missing is worth V there, which is 0, never less.
    expect(dialogues[0]![0]!.returns[episodes[0]!.turns[0]!.action.tokens!.prompt.length]).toBe(2);
  });

  it('trains on a malformed turn with its low reward', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, { turns: 1, reward: () => ({ total: -0.2, status: 'malformed' }) }, 1);
    const { dialogues } = await gatherExperience(episodes, policy, defaults);
    expect(dialogues[0]![0]!.returns.at(-1)).toBeCloseTo(-0.2, 6);
  });

  it('is refused where a reward is no number, before the scale has seen any', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, {}, 2);
    const rewardScale = new RewardScale();
    for (const total of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const broken = [episodes[0]!, withTurn(episodes[1]!, 2, (turn) => ({ ...turn, reward: scored(total) }))];
      await expect(gatherExperience(broken, policy, { ...defaults, rewardScale })).rejects.toMatchObject({
        code: 'training-failed',
        message: expect.stringContaining(`reward of turn 3 of dialogue 11-1 is ${total}`),
      });
    }
    expect(rewardScale.state.count).toBe(0);
  });

  it('is refused where the reward of an alternative is no number', async () => {
    const policy = new TabularPolicy();
    const [episode] = await play(policy, { turns: 1 }, 1);
    const { action, profile, reply } = episode!.turns[0]!;
    const broken = withTurn(episode!, 0, (turn) => ({ ...turn, alternatives: [{ action, profile, reply, reward: scored(Number.NaN) }] }));
    await expect(gatherExperience([broken], policy, defaults)).rejects.toMatchObject({ code: 'training-failed' });
  });

  it('takes no notice of the total of a turn without a verdict', async () => {
    const policy = new TabularPolicy();
    const [episode] = await play(policy, {}, 1);
    const masked = withTurn(episode!, 1, (turn) => ({ ...turn, reward: { ...unjudged, total: Number.NaN } }));
    expect((await gatherExperience([masked], policy, defaults)).trainableTokens).toBeGreaterThan(0);
  });

  it('is refused where weights, or the reference, give no numbers', async () => {
    const broken = async (damage: (policy: TabularPolicy) => unknown) => {
      const policy = new TabularPolicy();
      const episodes = await play(policy);
      await damage(policy);
      return gatherExperience(episodes, policy, defaults).catch(({ code, message }) => `${code}: ${message}`);
    };
    expect(await broken(({ valueTable }) => valueTable.fill(Number.NaN))).toMatch(/^training-failed: The value before a token is NaN/);
    expect(await broken(({ logits }) => logits.fill(Number.NaN))).toMatch(/^training-failed: The log-probability of a token is NaN/);
    const reference = async (policy: TabularPolicy) => {
      policy.logits.fill(Number.NaN);
      await policy.setReference();
      policy.logits.fill(0);
    };
    expect(await broken(reference)).toMatch(/^training-failed: The reference's log-probability of a token is NaN/);
  });

  it('is refused where rewards are too large for their returns', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, { reward: (_reply, _letter, turn) => scored(turn * 1e39) });
    await expect(gatherExperience(episodes, policy, defaults)).rejects.toMatchObject({
      code: 'training-failed',
      message: expect.stringContaining('standard deviation of the advantages'),
    });
  });

  it('masks the last turn of a dialogue that broke off, whose consequences nobody knows, unless credit is by turn', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, { end: 'failed' }, 1);
    const written = episodes[0]!.turns.map(({ action }) => [...action.tokens!.completion]);
    const byDialogue = await gatherExperience(episodes, policy, defaults);
    expect(byDialogue.dialogues[0]!.flatMap(trained)).toEqual([...written[0]!, ...written[1]!]);
    const byTurn = await gatherExperience(episodes, policy, { ...defaults, credit: 'turn' });
    expect(byTurn.dialogues[0]!.flatMap(trained)).toEqual(written.flat());
  });

  it('counts the last turns that it masks because nothing is known of what would have come after the turn limit', async () => {
    const policy = new TabularPolicy();
    const [reached, other] = (await play(policy, { end: 'truncated' }, 2)) as [Episode, Episode];
    const { nextState: _, ...unknown } = reached;
    const gathered = async (episode: Episode, credit: 'dialogue' | 'turn' = 'dialogue') => {
      const { dialogues, report } = await gatherExperience([episode, other], policy, { ...defaults, credit });
      return { tokens: dialogues[0]!.flatMap(trained), counted: report.unknownNextStates };
    };
    const written = reached.turns.map(({ action }) => [...action.tokens!.completion]);
    expect(await gathered(reached)).toEqual({ tokens: written.flat(), counted: 0 });
    expect(await gathered(unknown)).toEqual({ tokens: written.slice(0, -1).flat(), counted: 1 });
    expect(await gathered(unknown, 'turn')).toEqual({ tokens: written.flat(), counted: 0 });
    expect(await gathered({ ...unknown, tooLong: true })).toEqual({ tokens: written.slice(0, -1).flat(), counted: 0 });
  });

  it('drops samples that are too old, and says how many', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, {}, 1);
    policy.version += 3;
    const strict = await gatherExperience(episodes, policy, { ...defaults, maxStaleness: 2 });
    expect(strict.report).toMatchObject({ maxAge: 3, droppedStaleTurns: 3 });
    expect(strict.dialogues).toEqual([]);
    const lenient = await gatherExperience(episodes, policy, { ...defaults, maxStaleness: 3 });
    expect(lenient.report).toMatchObject({ maxAge: 3, droppedStaleTurns: 0 });
    expect(lenient.trainableTokens).toBeGreaterThan(0);
  });

  it('trains on alternatives with their own rewards', async () => {
    const policy = new TabularPolicy();
    const [episode] = await play(policy, { turns: 1, reward: () => scored(1) }, 1);
    const [action] = await policy.act([{ ...episode!.turns[0]!.state, seed: 123 }]);
    const alternative = { action: action!, profile: episode!.turns[0]!.profile, reply: action!.text, reward: scored(0.25) };
    const both = withTurn(episode!, 0, (turn) => ({ ...turn, alternatives: [alternative] }));
    const { dialogues } = await gatherExperience([both], policy, { ...defaults, credit: 'turn' });
    expect(dialogues).toHaveLength(1);
    expect(dialogues[0]!.map(({ returns }) => returns.at(-1))).toEqual([1, 0.25]);
    expect(trained(dialogues[0]![1]!)).toEqual([...action!.tokens!.completion]);
  });

  it('takes k1 off the reward at every token', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, { turns: 1, reward: () => scored(0) }, 1);
    policy.logits.fill(1, 0, 5000); // drift from the reference
    for (let i = 0; i < policy.logits.length; i += 5) policy.logits[i] = 0;
    const { dialogues, report } = await gatherExperience(episodes, policy, { ...defaults, lambda: 0, klCoefficient: 0.1 });
    const { actionMask, returns, oldLogProbs, referenceLogProbs } = dialogues[0]![0]!;
    let kl = 0;
    let tokens = 0;
    for (const [t, masked] of actionMask.entries()) {
      if (!masked) continue;
      const k1 = oldLogProbs[t]! - referenceLogProbs[t]!;
      expect(returns[t]).toBeCloseTo(-0.1 * k1, 6);
      kl += k1;
      tokens++;
    }
    expect(report.kl).toBeCloseTo(kl / tokens, 6);
    expect(Math.abs(report.kl)).toBeGreaterThan(0.01);
  });

  it('scales rewards by their deviation without moving their mean', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, { turns: 2, reward: (_reply, _letter, turn) => scored(turn === 1 ? 1 : 3) }, 1);
    const rewardScale = new RewardScale();
    // 2 and 6: deviation 2.
    const doubled = episodes.map((episode) => withTurn(withTurn(episode, 0, double), 1, double));
    const { dialogues } = await gatherExperience(doubled, policy, { ...defaults, lambda: 0, rewardScale });
    const spans = episodes[0]!.turns.map(({ action }) => action.tokens!.prompt.length + action.tokens!.completion.length - 1);
    expect(spans.map((last) => dialogues[0]![0]!.returns[last])).toEqual([1, 3]);
  });

  it('reports how far generation and scoring are apart', async () => {
    const exact = new TabularPolicy({ temperature: 0.6 });
    const report = (await gatherExperience(await play(exact), exact, defaults)).report;
    expect(report.maxLogProbDifference).toBeLessThan(1e-6);
    expect(report.kl).toBe(0);
    const off = new TabularPolicy({ samplingError: 0.25 });
    expect((await gatherExperience(await play(off), off, defaults)).report.maxLogProbDifference).toBeCloseTo(0.25, 5);
  });

  it('explains all of the variance when the values are the returns', async () => {
    // One token a reply, one turn, and a reward that depends on the user's letter alone, which the value table can hold.
    const policy = new TabularPolicy({ maxTokens: 1 });
    const worth = (letter: string) => 'abcd'.indexOf(letter);
    const episodes = await play(policy, { turns: 1, reward: (_reply, letter) => scored(worth(letter)) }, 5);
    const before = await gatherExperience(episodes, policy, defaults);
    expect(before.report.explainedVariance).toBeCloseTo(0, 6);
    for (let letter = 0; letter < 4; letter++) policy.valueTable[(4 + letter) * 12 + 2] = letter;
    const after = await gatherExperience(episodes, policy, defaults);
    expect(after.report.explainedVariance).toBeCloseTo(1, 6);
    expect(after.informative).toBe(false); // nothing was better or worse than expected
  });

  it('keeps the stop token among what is trained', async () => {
    const policy = new TabularPolicy();
    const episodes = await play(policy, {}, 5);
    const { dialogues } = await gatherExperience(episodes, policy, defaults);
    const stops = episodes.flatMap(({ turns }) => turns).filter(({ action }) => action.finishReason === 'stop').length;
    expect(
      dialogues
        .flat()
        .flatMap(trained)
        .filter((token) => token === stopToken),
    ).toHaveLength(stops);
  });
});

function double(turn: EpisodeTurn): EpisodeTurn {
  return { ...turn, reward: { ...turn.reward, total: turn.reward.total * 2 } };
}
