import { describe, expect, it } from 'vitest';
import type { Episode, EpisodeTurn } from '../../src/environment/index';
import type { ProfileScore } from '../../src/profile/index';
import { criteria, type TurnReward, type Verdict } from '../../src/reward/index';
import { measureRollouts } from '../../src/training/index';

const verdict = (failing?: (typeof criteria)[number]) =>
  Object.fromEntries(criteria.map((name) => [name, { pass: name !== failing, reason: '' }])) as Verdict;
const score = (f1: number): ProfileScore => ({ precision: f1, recall: f1, f1, matches: [], missed: [], extra: [] });

function episode(rewards: readonly TurnReward[], rest: Partial<Episode> = {}): Episode {
  const turns = rewards.map((reward, t) => ({
    turn: t + 1,
    reward,
    action: { text: '', finishReason: t === 0 ? 'length' : 'stop', usage: { inputTokens: 5, outputTokens: 10 * (t + 1) } },
  })) as unknown as EpisodeTurn[];
  return { id: 'e', personaId: 'p', seed: 0, turns, end: 'terminated', ...rest };
}

describe('metrics of rollouts', () => {
  it('count what was judged, take malformed for failed, and leave out what has no verdict', () => {
    const metrics = measureRollouts([
      episode([
        { total: 1.5, status: 'scored', profile: score(0.5), response: verdict() },
        { total: 0.75, status: 'scored', profile: score(0.75), response: verdict('logic') },
      ]),
      episode(
        [
          { total: -0.2, status: 'malformed' },
          { total: 0, status: 'unjudged', profile: score(1), failure: 'timeout: the judge' },
        ],
        { end: 'truncated' },
      ),
      episode([], { end: 'failed' }),
    ]);
    expect(metrics).toEqual({
      episodes: 3,
      failedEpisodes: 1,
      tooLongEpisodes: 0,
      turns: 4,
      reward: expect.closeTo((1.5 + 0.75 - 0.2) / 3, 12),
      profileF1: expect.closeTo((0.5 + 0.75 + 0) / 3, 12),
      profileF1ByTurn: [0.25, 0.75],
      responsePass: expect.closeTo(1 / 3, 12),
      responsePassByTurn: [0.5, 0],
      naturalness: expect.closeTo(2 / 3, 12),
      relevance: expect.closeTo(2 / 3, 12),
      logic: expect.closeTo(1 / 3, 12),
      engagement: expect.closeTo(2 / 3, 12),
      informativeness: expect.closeTo(2 / 3, 12),
      malformedRate: 0.25,
      cutOffRate: 0.5,
      truncatedRate: expect.closeTo(1 / 3, 12),
      unjudgedTurns: 1,
      responseLength: 15,
    });
  });

  it('are null for a part that the reward does not have', () => {
    const metrics = measureRollouts([
      episode([
        { total: 0.5, status: 'scored', profile: score(0.5) },
        { total: -0.2, status: 'malformed' },
      ]),
    ]);
    expect(metrics).toMatchObject({ profileF1: 0.25, responsePass: null, logic: null, responsePassByTurn: [null, null] });
  });

  it('are null where there was nothing', () => {
    expect(measureRollouts([])).toMatchObject({ episodes: 0, turns: 0, reward: null, responseLength: null, profileF1ByTurn: [] });
  });
});
