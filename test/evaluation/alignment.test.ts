import { describe, expect, it } from 'vitest';
import { improvementTrend, normaliseAlignment, summariseAlignment } from '../../src/evaluation/index';

/** AL(1..10) of RLPA on Vanilla ALOE, as the paper prints them, over 74 users. */
const paper = [62.16, 68.92, 70.27, 74.32, 72.97, 74.32, 75.68, 78.38, 77.03, 79.73];

/** A table of 74 users whose turn k has exactly the paper's share of aligned replies. */
const paperTable = Array.from({ length: 74 }, (_, user) => paper.map((share) => (user < Math.round((share / 100) * 74) ? 1 : 0)));

describe('alignment metrics', () => {
  it('gives the N-IR and N-R² that the paper prints for its ten numbers', () => {
    const { nIR, nR2 } = improvementTrend(paper);
    expect(nIR).toBeCloseTo(0.09, 3);
    expect(nR2).toBeCloseTo(0.855, 3);
  });

  it('computes AL(k) and AVG from verdicts of 74 users as the paper prints them', () => {
    const summary = summariseAlignment(paperTable, 1);
    expect(summary.alignment.map((turn) => turn.mean!.toFixed(2))).toEqual(paper.map((share) => share.toFixed(2)));
    expect(summary.average.mean!.toFixed(2)).toBe('73.38');
    expect(summary.nIR.mean!.toFixed(3)).toBe('0.090');
    // .8545: the paper fitted the percentages that it had rounded to two decimals.
    expect(summary.nR2.mean).toBeCloseTo(0.855, 2);
  });

  it('gives AL(k) the standard error of a share: 46 of 74 is 62.16 ± sqrt(.6216 · .3784 / 73) = 5.68', () => {
    expect(summariseAlignment(paperTable, 1).alignment[0]!.se).toBeCloseTo(5.68, 2);
  });

  it('takes users, not turns, as independent: two users who always differ leave AVG with an error of 50', () => {
    const { average } = summariseAlignment([Array(10).fill(1), Array(10).fill(0)], 1);
    // Their means are 100 and 0: s = 70.71, s / sqrt(2) = 50. Twenty independent turns would have claimed 11.5.
    expect(average).toEqual({ mean: 50, se: 50, n: 2 });
  });

  it('normalises between the lowest and the highest turn', () => {
    expect(normaliseAlignment([60, 80, 65, 70])).toEqual([0, 1, 0.25, 0.5]);
  });

  it('has slope 1/(K−1) and R² 1 for a straight line', () => {
    expect(improvementTrend([10, 20, 30, 40, 50])).toEqual({ nIR: 0.25, nR2: 1 });
  });

  it('has a negative slope for a policy that gets worse', () => {
    expect(improvementTrend([50, 40, 30]).nIR).toBe(-0.5);
  });

  it('defines a flat curve, a single turn and no turns as no improvement, nothing explained', () => {
    for (const curve of [[70, 70, 70], [70], [], [null, null]]) expect(improvementTrend(curve)).toEqual({ nIR: 0, nR2: 0 });
    const flat = summariseAlignment(
      [
        [1, 1, 1],
        [1, 1, 1],
      ],
      1,
    );
    expect(flat.nIR).toEqual({ mean: 0, se: 0, n: 2 });
    expect(flat.normalised).toEqual([0, 0, 0]);
  });

  it('leaves unjudged turns out of the means and says over how many users a mean is', () => {
    const { alignment, average } = summariseAlignment(
      [
        [1, null],
        [0, null],
        [null, 1],
      ],
      1,
    );
    expect(alignment[0]).toEqual({ mean: 50, se: 50, n: 2 });
    expect(alignment[1]).toEqual({ mean: 100, se: null, n: 1 });
    expect(average.mean).toBe(75);
  });

  it('reports a turn that nobody was judged at as null and draws the line through the others', () => {
    const summary = summariseAlignment(
      [
        [0, null, 1],
        [0, null, 1],
      ],
      1,
    );
    expect(summary.alignment[1]).toEqual({ mean: null, se: null, n: 0 });
    expect(summary.nIR.mean).toBe(0.5);
    expect(summary.nR2.mean).toBe(1);
  });

  it('has a bootstrap error that its seed reproduces and that shrinks with more users', () => {
    const few = summariseAlignment(paperTable, 7);
    expect(summariseAlignment(paperTable, 7)).toEqual(few);
    const nine = Array.from({ length: 9 }, () => paperTable).flat();
    // Noise moves which turns are lowest and highest, so the error falls by about, not exactly, sqrt(9).
    expect(summariseAlignment(nine, 7).nIR.se!).toBeLessThan(few.nIR.se!);
  });

  it('refuses users with different numbers of turns', () => {
    expect(() => summariseAlignment([[1, 0], [1]], 1)).toThrowError(expect.objectContaining({ code: 'invalid-option' }));
  });
});
