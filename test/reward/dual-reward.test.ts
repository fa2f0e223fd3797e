import { describe, expect, it } from 'vitest';
import { RlpaError } from '../../src/errors';
import { ProfileSchema } from '../../src/profile/index';
import {
  criteria,
  DualReward,
  profileReward,
  type ResponseJudge,
  type RewardContext,
  responseReward,
  type Verdict,
} from '../../src/reward/index';

const schema = ProfileSchema.standard;
const golden = schema.profile({ occupation: 'nurse', location: 'Leeds', interests: ['hiking'] });
// One of two inferred items is right, of three golden ones: F1 = 2·1 / (2 + 3) = 0.4
const inferred = schema.profile({ occupation: 'nurse', location: 'York' });

const verdictOf = (failing: string[] = []): Verdict =>
  Object.fromEntries(
    criteria.map((criterion) => [criterion, { pass: !failing.includes(criterion), reason: 'told so' }]),
  ) as unknown as Verdict;

function judgeOf(answer: () => Verdict | Promise<Verdict>): ResponseJudge & { calls: number } {
  return {
    name: 'told',
    calls: 0,
    async judge() {
      this.calls++;
      return answer();
    },
  };
}

const turn: RewardContext = { dialogue: [{ role: 'user', content: 'Hello!' }], reply: 'Hi! How are you?', golden, inferred, disclosed: [] };
const rewardWith = (judge: ResponseJudge, options: ConstructorParameters<typeof DualReward>[0] = {}) =>
  new DualReward({ ...options, response: responseReward({ judge }) });

describe('DualReward', () => {
  it('adds F1 and the strict AND of the five verdicts', async () => {
    const reward = await rewardWith(judgeOf(() => verdictOf())).score(turn);
    expect(reward).toMatchObject({ status: 'scored', profile: { precision: 1 / 2, recall: 1 / 3, f1: 0.4 }, response: verdictOf() });
    expect(reward.total).toBeCloseTo(1.4, 12);
  });

  it.each(criteria)('gives no response reward when %s alone fails', async (criterion) => {
    const reward = await rewardWith(judgeOf(() => verdictOf([criterion]))).score(turn);
    expect(reward.total).toBeCloseTo(0.4, 12);
  });

  it('earns 2 at most', async () => {
    const reward = await rewardWith(judgeOf(() => verdictOf())).score({ ...turn, inferred: golden });
    expect(reward.total).toBe(2);
  });

  it('weighs the parts', async () => {
    const reward = await rewardWith(
      judgeOf(() => verdictOf()),
      { weights: { profile: 0.5, response: 3 } },
    ).score(turn);
    expect(reward.total).toBeCloseTo(0.5 * 0.4 + 3, 12);
    expect(reward.profile?.f1).toBe(0.4);
  });

  it('computes one part only in an ablation', async () => {
    const judge = judgeOf(() => verdictOf());
    const profileOnly = await rewardWith(judge, { parts: 'profile' }).score(turn);
    expect(profileOnly).toMatchObject({ total: 0.4, status: 'scored' });
    expect(profileOnly.response).toBeUndefined();
    expect(judge.calls).toBe(0);

    const responseOnly = await rewardWith(judge, { parts: 'response' }).score(turn);
    expect(responseOnly).toMatchObject({ total: 1, status: 'scored' });
    expect(responseOnly.profile).toBeUndefined();
  });

  it('gives malformed output a fixed low reward without asking the judge', async () => {
    const judge = judgeOf(() => verdictOf());
    const problem = { code: 'no-profile', message: 'no profile block' };
    expect(await rewardWith(judge).score({ ...turn, problem })).toEqual({ total: -0.2, status: 'malformed' });
    expect(await rewardWith(judge, { malformedReward: 0 }).score({ ...turn, problem })).toEqual({ total: 0, status: 'malformed' });
    expect(judge.calls).toBe(0);
  });

  it('masks a turn for which no verdict could be had, keeps the part that could, and says why', async () => {
    const reward = rewardWith(
      judgeOf(() => {
        throw new RlpaError('model-rate-limited', 'come back later');
      }),
    );
    expect(await reward.score(turn)).toMatchObject({
      status: 'unjudged',
      failure: 'model-rate-limited: come back later',
      profile: { f1: 0.4 },
    });
  });

  it('masks a turn whose profile could not be compared', async () => {
    const matcher = {
      name: 'broken',
      threshold: 1,
      similarity: async () => {
        throw new RlpaError('timeout', 'too slow');
      },
    };
    const reward = new DualReward({ profile: profileReward({ matcher }), response: responseReward({ judge: judgeOf(() => verdictOf()) }) });
    expect(await reward.score(turn)).toMatchObject({ status: 'unjudged', failure: 'timeout: too slow', response: verdictOf() });
  });

  it('counts how turns came out', async () => {
    const outcomes = [
      () => verdictOf(),
      () => verdictOf(['logic']),
      () => {
        throw new RlpaError('timeout', 'too slow');
      },
      () => {
        throw new TypeError('undefined is not a verdict');
      },
    ];
    const reward = rewardWith(judgeOf(() => outcomes.shift()!()));
    for (let i = 0; i < 4; i++) await reward.score(turn);
    await reward.score({ ...turn, problem: { code: 'empty', message: 'nothing' } });
    expect(reward.counts).toEqual({ scored: 2, malformed: 1, unjudged: 2, failures: { timeout: 1, other: 1 } });
  });

  it('masks and counts a turn whose verdict takes too long, and keeps the part that was in time', async () => {
    const reward = rewardWith({ name: 'silent', judge: () => new Promise<never>(() => {}) });
    const late = await reward.score({ ...turn, timeoutMs: 10 });
    expect(late).toMatchObject({ total: 0, status: 'unjudged', profile: { f1: 0.4 } });
    expect(late.failure).toMatch(/^timeout: .*10 ms/);
    expect(reward.counts).toEqual({ scored: 0, malformed: 0, unjudged: 1, failures: { timeout: 1 } });
  });

  it('passes an abort on and does not count it', async () => {
    const controller = new AbortController();
    const reward = rewardWith(
      judgeOf(async () => {
        controller.abort();
        throw new RlpaError('aborted', 'stopped');
      }),
    );
    await expect(reward.score({ ...turn, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    await expect(reward.score({ ...turn, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    expect(reward.counts).toMatchObject({ scored: 0, unjudged: 0 });
  });

  it.each([
    [{ weights: { profile: -1 } }, 'weights.profile'],
    [{ weights: { response: Number.NaN } }, 'weights.response'],
    [{ weights: { response: Number.POSITIVE_INFINITY } }, 'weights.response'],
    [{ malformedReward: Number.NaN }, 'malformedReward'],
    [{ parts: 'neither' as 'both' }, 'parts'],
  ])('refuses %j', (options, option) => {
    const given: unknown = Object.values(options)[0];
    const found = typeof given === 'object' ? Object.values(given as object)[0] : given;
    expect(() => new DualReward(options)).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: { option, expected: expect.any(String), found } }),
    );
  });

  it('judges by the rules when nothing else is said', async () => {
    const reward = await new DualReward().score(turn);
    expect(reward.total).toBeCloseTo(1.4, 12);
  });
});
