import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Admission } from '../../src/server/admission';

const { signal } = new AbortController();

describe('who waits for a place', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('gets it when one becomes free, and gives up after a time', async () => {
    const admission = new Admission(1, 3, 1000);
    const leave = (await admission.enter(signal))!;
    const [second, third] = [admission.enter(signal), admission.enter(signal)];
    await vi.advanceTimersByTimeAsync(999);
    leave();
    expect(await second).toBeTypeOf('function');
    expect(admission.counters).toEqual({ running: 1, waiting: 1 });
    await vi.advanceTimersByTimeAsync(1);
    expect(await third).toBeUndefined();
    expect(admission.counters).toEqual({ running: 1, waiting: 0 });
    (await second)!();
    expect(admission.counters).toEqual({ running: 0, waiting: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('takes none, whether or not there is one, when nobody is there any more', async () => {
    const admission = new Admission(1, 3, 1000);
    const gone = AbortSignal.abort();
    await expect(admission.enter(gone)).rejects.toMatchObject({ code: 'aborted' });
    expect(admission.counters).toEqual({ running: 0, waiting: 0 });
    await admission.enter(signal);
    await expect(admission.enter(gone)).rejects.toMatchObject({ code: 'aborted' });
    expect(admission.counters).toEqual({ running: 1, waiting: 0 });
  });
});
