import { describe, expect, it } from 'vitest';
import { nextKlCoefficient, scheduleFactor } from '../../src/training/index';

describe('a learning-rate schedule', () => {
  it('rises over the warm-up, never from 0, and then follows its shape', () => {
    const at = (shape: 'constant' | 'linear' | 'cosine') => [0, 4, 9, 10, 55, 99].map((step) => scheduleFactor(shape, step, 100, 0.1));
    // Warm-up of 10 steps: (step + 1) / 10. After it 90 steps are left: step 55 is halfway.
    for (const [i, expected] of [0.1, 0.5, 1, 1, 1, 1].entries()) expect(at('constant')[i]).toBeCloseTo(expected, 12);
    for (const [i, expected] of [0.1, 0.5, 1, 1, 0.5, 1 / 90].entries()) expect(at('linear')[i]).toBeCloseTo(expected, 12);
    for (const [i, expected] of [0.1, 0.5, 1, 1, 0.5].entries()) expect(at('cosine')[i]).toBeCloseTo(expected, 12);
  });

  it('has a warm-up shorter than a step start at the full rate', () => {
    expect(scheduleFactor('constant', 0, 10, 0.03)).toBe(1);
  });
});

describe('the adaptive KL coefficient', () => {
  const options = { target: 0.1, horizon: 100 };
  it('grows when KL is above its target, shrinks below it, and stays on it', () => {
    expect(nextKlCoefficient(1, 0.11, 50, options)).toBeCloseTo(1 + 0.1 * 0.5, 12);
    expect(nextKlCoefficient(1, 0.09, 50, options)).toBeCloseTo(1 - 0.1 * 0.5, 12);
    expect(nextKlCoefficient(1, 0.1, 50, options)).toBe(1);
  });

  it('reacts to an error of at most a fifth', () => {
    expect(nextKlCoefficient(1, 5, 50, options)).toBeCloseTo(1.1, 12);
    expect(nextKlCoefficient(1, -5, 50, options)).toBeCloseTo(0.9, 12);
  });
});
