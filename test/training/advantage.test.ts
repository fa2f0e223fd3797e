import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dialogueAdvantages, RewardScale, whiten } from '../../src/training/index';
import { describeWithShared, sharedPath } from '../shared';

interface GoldenCase {
  gamma: number;
  lambda: number;
  klCoefficient: number;
  truncated: boolean;
  bootstrapValue: number;
  turns: { values: number[]; kl: number[]; reward: number }[];
  expected: { advantages: number[]; returns: number[] }[];
}

describeWithShared('advantages of the reference implementation', 'golden/advantages.json', () => {
  const path = sharedPath('golden/advantages.json');
  it('agree within 1e-6 in every case', () => {
    const cases: GoldenCase[] = JSON.parse(readFileSync(path, 'utf8'));
    expect(cases.length).toBeGreaterThan(0);
    for (const { turns, expected, truncated, bootstrapValue, ...options } of cases) {
      const found = dialogueAdvantages(turns, truncated ? bootstrapValue : 0, { ...options, credit: 'dialogue' });
      for (const [t, { advantages, returns }] of expected.entries()) {
        expect(found[t]!.advantages.length).toBe(advantages.length);
        for (const [i, advantage] of advantages.entries()) {
          expect(Math.abs(found[t]!.advantages[i]! - advantage)).toBeLessThan(1e-6);
          expect(Math.abs(found[t]!.returns[i]! - returns[i]!)).toBeLessThan(1e-6);
        }
      }
    }
  });
});

describe('advantages along a dialogue', () => {
  const options = { gamma: 0.9, lambda: 0.5, klCoefficient: 0, credit: 'dialogue' } as const;
  const turn = (values: number[], reward?: number) => ({ values, kl: values.map(() => 0), reward });

  it('put the reward on the last token of the turn', () => {
    // λ = 0: A_i = δ_i. Without values only the token that earns something has one.
    const [only] = dialogueAdvantages([turn([0, 0, 0], 1)], 0, { ...options, lambda: 0 });
    expect([...only!.advantages]).toEqual([0, 0, 1]);
  });

  it('discount between turns and not inside them', () => {
    // λ = 1, values 0: A is the discounted sum of rewards from here: 1 + 0.9·2 = 2.8, then 2.
    const [first, second] = dialogueAdvantages([turn([0, 0], 1), turn([0, 0, 0], 2)], 0, { ...options, lambda: 1 });
    expect([...first!.advantages]).toEqual([2.8, 2.8]);
    expect([...second!.advantages]).toEqual([2, 2, 2]);
  });

  it('take the value of the next state for what a truncated dialogue would still have earned', () => {
    const terminated = dialogueAdvantages([turn([0.5], 1)], 0, options);
    const truncated = dialogueAdvantages([turn([0.5], 1)], 3, options);
    expect(terminated[0]!.advantages[0]).toBeCloseTo(1 - 0.5, 12);
    expect(truncated[0]!.advantages[0]).toBeCloseTo(1 + 0.9 * 3 - 0.5, 12);
  });

  it('give each turn its own reward only, when credit is by turn', () => {
    const found = dialogueAdvantages([turn([0.1, 0.2], 1), turn([0.3], 5)], 7, { ...options, credit: 'turn' });
    // Second token: 1 − 0.2 = 0.8; first: (0.2 − 0.1) + λ·0.8 = 0.5. The next turn and the next state do not show.
    expect(found[0]!.advantages[1]).toBeCloseTo(0.8, 12);
    expect(found[0]!.advantages[0]).toBeCloseTo(0.5, 12);
    expect(found[1]!.advantages[0]).toBeCloseTo(4.7, 12);
  });

  it('never take a missing verdict for a reward of 0', () => {
    const unjudged = dialogueAdvantages([turn([2], 1), turn([2], undefined), turn([1], 1)], 0, options);
    // δ_3 = 1 − 1 = 0, δ_2 unknown → 0, δ_1 = 1 + 0.9·2 − 2 = 0.8, and nothing of turn 2 is held against turn 1.
    expect(unjudged.map(({ advantages }) => advantages[0])).toEqual([expect.closeTo(0.8, 12), 0, 0]);
    const zero = dialogueAdvantages([turn([2], 1), turn([2], 0), turn([1], 1)], 0, options);
    // A real 0 is: δ_2 = 0 + 0.9·1 − 2 = −1.1, so A_1 = 0.8 + 0.45·(−1.1) = 0.305.
    expect(zero[0]!.advantages[0]).toBeCloseTo(0.305, 12);
  });

  it('let later turns reach earlier ones through a turn without a verdict', () => {
    const [first] = dialogueAdvantages([turn([0], 0), turn([0], undefined), turn([0], 1)], 0, { ...options, gamma: 1, lambda: 1 });
    expect(first!.advantages[0]).toBe(1);
  });

  it('do not guess what followed a dialogue that broke off', () => {
    const [first, last] = dialogueAdvantages([turn([2], 1), turn([2], 1)], undefined, options);
    expect(last!.advantages[0]).toBe(0);
    expect(first!.advantages[0]).toBeCloseTo(1 + 0.9 * 2 - 2, 12);
  });

  it('subtract the KL at its own token', () => {
    const [found] = dialogueAdvantages([{ values: [0, 0, 0], kl: [0, 2, 0], reward: 0 }], 0, { ...options, lambda: 0, klCoefficient: 0.1 });
    expect([...found!.advantages]).toEqual([0, -0.2, 0]);
  });

  it('are refused for a turn without tokens', () => {
    expect(() => dialogueAdvantages([turn([], 1)], 0, options)).toThrow(expect.objectContaining({ code: 'training-failed' }));
  });
});

describe('whitening', () => {
  it('brings the masked tokens of the whole batch, and no others, to mean 0 and deviation 1', () => {
    const batch = [
      { advantages: Float32Array.from([99, 1, 3]), actionMask: Uint8Array.from([0, 1, 1]) },
      { advantages: Float32Array.from([5, -99, 7]), actionMask: Uint8Array.from([1, 0, 1]) },
    ];
    expect(whiten(batch)).toBe(true);
    // 1, 3, 5, 7: mean 4, population variance (9 + 1 + 1 + 9) / 4 = 5.
    const unit = Math.sqrt(5);
    for (const [found, expected] of [
      [batch[0]!.advantages, [0, -3 / unit, -1 / unit]],
      [batch[1]!.advantages, [1 / unit, 0, 3 / unit]],
    ] as const) {
      for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 6);
    }
  });

  it('refuses a batch that does not vary', () => {
    expect(whiten([{ advantages: Float32Array.from([0.1, 0.1, 4]), actionMask: Uint8Array.from([1, 1, 0]) }])).toBe(false);
    expect(whiten([{ advantages: Float32Array.from([0.7]), actionMask: Uint8Array.from([1]) }])).toBe(false);
    expect(whiten([])).toBe(false);
  });
});

describe('reward scaling', () => {
  it('divides by the running deviation and leaves the mean where it was relative to 0', () => {
    const scale = new RewardScale();
    for (const reward of [2, 4, 4, 4, 5, 5, 7, 9]) scale.observe(reward); // population deviation 2, mean 5
    expect(scale.divisor).toBeCloseTo(2, 12);
  });

  it('goes on from its state as if it had not stopped', () => {
    const whole = new RewardScale();
    const first = new RewardScale();
    for (const reward of [1, 0, 3]) first.observe(reward);
    const second = new RewardScale(first.state);
    for (const reward of [1, 0, 3, 8, 2]) whole.observe(reward);
    for (const reward of [8, 2]) second.observe(reward);
    expect(second.state).toEqual(whole.state);
  });

  it('leaves rewards alone until they differ', () => {
    const scale = new RewardScale();
    expect(scale.divisor).toBe(1);
    scale.observe(3);
    scale.observe(3);
    expect(scale.divisor).toBe(1);
  });
});
