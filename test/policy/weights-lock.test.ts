import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { WeightsLock } from '../../src/policy/weights-lock';

/** A task that notes when it begins and ends. */
function taskOf(log: string[]) {
  return (name: string, ms = 5) =>
    async () => {
      log.push(`${name} begins`);
      await setTimeout(ms);
      log.push(`${name} ends`);
      return name;
    };
}

describe('the lock of the weights', () => {
  it('lets tasks share them, and one be alone with them after those and before later ones', async () => {
    const lock = new WeightsLock();
    const log: string[] = [];
    const task = taskOf(log);
    const results = await Promise.all([
      lock.shared(task('a', 20)),
      lock.shared(task('b', 10)),
      lock.alone(undefined, task('alone')),
      lock.alone(undefined, task('alone too')),
      lock.shared(task('c', 10)),
      lock.shared(task('d', 20)),
    ]);
    expect(results).toEqual(['a', 'b', 'alone', 'alone too', 'c', 'd']);
    expect(log).toEqual([
      ...['a begins', 'b begins', 'b ends', 'a ends'],
      ...['alone begins', 'alone ends', 'alone too begins', 'alone too ends'],
      ...['c begins', 'd begins', 'c ends', 'd ends'],
    ]);
  });

  it('says while somebody waits to be alone with them', async () => {
    const lock = new WeightsLock();
    const shared = lock.shared(() => setTimeout(5));
    expect(lock.isWanted).toBe(false);
    const alone = lock.alone(undefined, async () => lock.isWanted);
    expect(lock.isWanted).toBe(true);
    expect(await alone).toBe(false);
    await shared;
  });

  it('goes on after a task that fails', async () => {
    const lock = new WeightsLock();
    const fail = () => Promise.reject(new Error('no'));
    const failed = [lock.shared(fail), lock.alone(undefined, fail), lock.shared(fail)];
    const last = lock.alone(undefined, async () => 'done');
    expect((await Promise.allSettled(failed)).map(({ status }) => status)).toEqual(Array(3).fill('rejected'));
    expect(await last).toBe('done');
  });

  it('never begins a task whose signal has fired meanwhile', async () => {
    const lock = new WeightsLock();
    const log: string[] = [];
    const first = lock.alone(undefined, taskOf(log)('first'));
    const given = lock.alone(AbortSignal.abort(), taskOf(log)('given up'));
    await expect(given).rejects.toMatchObject({ code: 'aborted' });
    await first;
    expect(log).toEqual(['first begins', 'first ends']);
  });
});
