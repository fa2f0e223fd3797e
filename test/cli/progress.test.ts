import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { describeDuration, describePace, PaceMeter } from '../../src/cli/pace';
import { progressDisplay } from '../../src/cli/progress';

describe('pace', () => {
  it('gives rate and remaining time: 10 of 40 in 20 s is 0.5 a second and 60 s more', () => {
    let time = 0;
    const meter = new PaceMeter(0, () => time);
    time = 20_000;
    expect(meter.at(10, 40)).toEqual({ rate: 0.5, remainingSeconds: 60, elapsedSeconds: 20 });
  });

  it('does not count what an earlier run had done: 30 done before, 35 now, in 10 s, leaves 130 s for 65', () => {
    let time = 0;
    const meter = new PaceMeter(30, () => time);
    time = 10_000;
    expect(meter.at(35, 100).remainingSeconds).toBe(130);
  });

  it('does not guess before anything is done', () => {
    let time = 0;
    const meter = new PaceMeter(0, () => time);
    time = 5000;
    expect(describePace(meter.at(0, 10), 'iterations')).toBe('5s so far');
  });

  it('is worded per minute when slow, and says how long it took at the end', () => {
    expect(describePace({ rate: 0.25, remainingSeconds: 83, elapsedSeconds: 40 }, 'iterations')).toBe('15 iterations/min, 1m 23s left');
    expect(describePace({ rate: 2.25, remainingSeconds: 0, elapsedSeconds: 40 }, 'dialogues')).toBe('2.3 dialogues/s, took 40s');
  });

  it.each([
    [0.4, '0s'],
    [59.6, '1m 00s'],
    [3599, '59m 59s'],
    [7260, '2h 01m'],
  ])('describes %d seconds as %s', (seconds, text) => expect(describeDuration(seconds)).toBe(text));
});

describe('progress without a terminal', () => {
  it('prints the first and the last event of a phase, and one every ten seconds between', () => {
    const stderr = new PassThrough();
    let time = 0;
    const display = progressDisplay({ stdin: new PassThrough(), stdout: new PassThrough(), stderr, env: {} }, { now: () => time });
    for (let done = 0; done <= 30; done++) {
      display.update({ phase: 'ppo', done, total: 30, unit: 'iterations' });
      time += 1000;
    }
    display.update({ phase: 'evaluate-after', done: 0, total: 64, unit: 'dialogues' });
    expect(stderr.read().toString().split('\n')).toEqual([
      'PPO: 0/30 iterations',
      'PPO: 10/30 iterations · 1 iterations/s, 20s left',
      'PPO: 20/30 iterations · 1 iterations/s, 10s left',
      'PPO: 30/30 iterations · 1 iterations/s, took 30s',
      'Evaluating after: 0/64 dialogues',
      '',
    ]);
  });
});
