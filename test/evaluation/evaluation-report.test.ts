import { describe, expect, it } from 'vitest';
import { beforeAfterTable, compareReports, reportEpisodes, reportTable } from '../../src/evaluation/index';
import { episode } from './episodes';

const options = { policy: 'test', seed: 1 };

describe('reportEpisodes', () => {
  const report = reportEpisodes(
    [
      episode('ann', [{ f1: 0.2, fails: 'relevance' }, { f1: 0.6 }]),
      episode('bob', ['malformed', { f1: 0.4 }]),
      episode('cy', [
        { f1: 0.4, unjudged: true },
        { f1: 0.8, fails: 'logic', cut: true },
      ]),
    ],
    options,
  );

  it('gives profile F1 by turn, a malformed output counting as 0', () => {
    // (.2 + 0 + .4) / 3; deviations 0, −.2, .2 → s = .2, s / sqrt(3) = .1155
    expect(report.turns[0]!.profileF1.mean).toBeCloseTo(0.2, 12);
    expect(report.turns[0]!.profileF1.se).toBeCloseTo(0.1155, 4);
    expect(report.profileF1Last.mean).toBeCloseTo(0.6, 12);
  });

  it('gives each user one profile F1 over all turns: turns of one user are not independent', () => {
    // .4, .2, .6: s = .2, s / sqrt(3) = .1155
    expect(report.profileF1Average).toEqual({ mean: expect.closeTo(0.4, 12), se: expect.closeTo(0.1155, 4), n: 3 });
  });

  it('counts a reply as aligned only if all five criteria pass, and a malformed output as not aligned', () => {
    expect(report.turns[0]!.alignment).toEqual({ mean: 0, se: 0, n: 2 });
    expect(report.turns[1]!.alignment.mean).toBeCloseTo(200 / 3, 12);
  });

  it('leaves an unjudged reply out of the alignment, keeps its profile, and counts it', () => {
    expect(report.turns[0]!.profileF1.n).toBe(3);
    expect(report.unjudged).toBe(1);
  });

  it('gives each criterion its own share, over the replies that have verdicts', () => {
    expect(report.turns[0]!.perCriterion.relevance).toEqual({ mean: 0, se: null, n: 1 });
    expect(report.turns[1]!.perCriterion.logic.mean).toBeCloseTo(200 / 3, 12);
    expect(report.turns[1]!.perCriterion.relevance.mean).toBe(100);
  });

  it('gives the shares of malformed and cut-off outputs', () => {
    expect(report.malformedRate.mean).toBeCloseTo(1 / 6, 12);
    expect(report.truncatedRate).toBeCloseTo(1 / 6, 12);
  });

  it('is plain JSON without NaN', () => {
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it('counts the turns before a dialogue broke off, and says why it did', () => {
    const broken = reportEpisodes([episode('ann', [{ f1: 1 }], 'failed'), episode('bob', [{ f1: 0 }, { f1: 0.5 }])], options);
    expect(broken.turns.map((turn) => turn.profileF1.n)).toEqual([2, 1]);
    expect(broken.profileF1Last.mean).toBe(0.75); // Ann's last turn is her first
    expect(broken.failures).toEqual([{ personaId: 'ann', failure: 'the user model is down' }]);
  });

  it('counts the dialogues that grew longer than the policy can read', () => {
    const long = { ...episode('ann', [{ f1: 1 }]), tooLong: true as const };
    expect(reportEpisodes([long, episode('bob', [{ f1: 0 }, { f1: 0.5 }])], options)).toMatchObject({ tooLong: 1, failures: [] });
    expect(report.tooLong).toBe(0);
  });

  it('refuses two dialogues of one persona, whose turns are not independent users', () => {
    expect(() => reportEpisodes([episode('ann', []), episode('ann', [])], options)).toThrowError(
      expect.objectContaining({ code: 'invalid-option' }),
    );
  });
});

describe('compareReports', () => {
  const before = reportEpisodes([episode('ann', [{ f1: 0.1 }]), episode('bob', [{ f1: 0.7 }])], options);

  it('pairs by persona, so that users who differ but improve alike leave no error', () => {
    const after = reportEpisodes([episode('bob', [{ f1: 0.9 }]), episode('ann', [{ f1: 0.3 }])], options);
    const { turns, profileF1Last } = compareReports(before, after);
    expect(turns[0]!.profileF1.mean).toBeCloseTo(0.2, 12);
    expect(turns[0]!.profileF1.se).toBeCloseTo(0, 12); // unpaired it would be sqrt(.3² + .3²) = .42
    expect(profileF1Last.mean).toBeCloseTo(0.2, 12);
  });

  it("pairs the users' profile F1 over all turns", () => {
    const [first, second] = [
      [0, 0.2],
      [0.4, 0.8],
    ].map(([ann, bob]) =>
      reportEpisodes([episode('ann', [{ f1: ann! }, { f1: 0.2 }]), episode('bob', [{ f1: bob! }, 'malformed'])], options),
    );
    // ann .1 → .3, bob .1 → .4: differences .2 and .3
    expect(compareReports(first!, second!).profileF1Average).toEqual({
      mean: expect.closeTo(0.25, 12),
      se: expect.closeTo(0.05, 12),
      n: 2,
    });
  });

  it('compares only turns that both reports have', () => {
    const after = reportEpisodes([episode('ann', [{ f1: 0.3 }, { f1: 1 }]), episode('bob', [{ f1: 0.7 }, 'malformed'])], options);
    const { profileF1Last, profileF1Average, malformedRate } = compareReports(before, after);
    // ann .1 → .3 and bob .7 → .7 at the one turn; what came after it has nothing to be compared with
    expect([profileF1Last.mean, profileF1Average.mean]).toEqual([expect.closeTo(0.1, 12), expect.closeTo(0.1, 12)]);
    expect(malformedRate.mean).toBe(0);
    expect(compareReports(after, before).profileF1Last.mean).toBeCloseTo(-0.1, 12);
  });

  it('compares only users that both reports have', () => {
    const after = reportEpisodes([episode('ann', [{ f1: 0.3 }]), episode('cy', [{ f1: 1 }])], options);
    const comparison = compareReports(before, after);
    expect(comparison.users).toBe(1);
    expect(comparison.turns[0]!.profileF1).toEqual({ mean: expect.closeTo(0.2, 12), se: null, n: 1 });
  });

  it('refuses reports of different users', () => {
    expect(() => compareReports(before, reportEpisodes([episode('cy', [{ f1: 1 }])], options))).toThrowError(/share no user/);
  });

  it('finds no difference between a report and itself', () => {
    const report = reportEpisodes(
      [episode('ann', [{ f1: 0.1, fails: 'logic' }, { f1: 0.5 }]), episode('bob', [{ f1: 0.2 }, 'malformed'])],
      options,
    );
    const { average, nIR, nR2, malformedRate } = compareReports(report, report);
    for (const estimate of [average, nIR, nR2, malformedRate]) expect(estimate).toEqual({ mean: 0, se: 0, n: 2 });
  });
});

describe('report tables', () => {
  const before = reportEpisodes([episode('ann', [{ f1: 0 }, { f1: 0.25, fails: 'logic' }])], options);
  const after = reportEpisodes([episode('ann', [{ f1: 0.5 }, { f1: 1 }])], options);

  it('sets before, after and the difference beside one another', () => {
    const table = beforeAfterTable(before, after);
    expect(table.columns).toEqual(['before', 'after', 'difference']);
    expect(table.rows.map((row) => row.label)).toEqual([
      'F1@1',
      'F1@2',
      'F1 over all turns',
      'F1 at the last turn',
      'AL@1 %',
      'AL@2 %',
      'AVG %',
      'N-IR',
      'N-R²',
      'malformed %',
    ]);
    expect(table.rows[1]!.cells.map((cell) => cell!.mean)).toEqual([0.25, 1, 0.75]);
    expect(table.rows[2]!.cells.map((cell) => cell!.mean)).toEqual([0.125, 0.75, 0.625]);
    expect(table.rows[6]!.cells.map((cell) => cell!.mean)).toEqual([50, 100, 50]);
  });

  it('leaves a cell empty where a report has fewer turns', () => {
    const short = reportEpisodes([episode('ann', [{ f1: 0 }])], options);
    expect(reportTable({ short, after }).rows[1]!.cells[0]).toBeNull();
  });
});
