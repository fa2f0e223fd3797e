import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PersonalizedAgent } from '../../src/agent/index';
import { type ChatPart, withLimits } from '../../src/chat/index';
import { ProfileSchema } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';

const messages = [{ role: 'user', content: 'one two three' }] as const;
const never = () => new Promise<string>(() => {});

describe('withLimits', () => {
  it('leaves a model as it is but for its limits', async () => {
    const model = withLimits(scriptedChatModel(['Yes.', 'No.'], { structuredOutput: true, name: 'mine' }));
    expect([model.name, model.structuredOutput]).toEqual(['mine', true]);
    expect((await model.generate({ messages })).text).toBe('Yes.');
    const parts: ChatPart[] = [];
    for await (const part of model.stream({ messages })) parts.push(part);
    expect(parts.map((part) => part.type)).toEqual(['text', 'finish']);
    expect(model.stats).toEqual({ calls: 2, inputTokens: 6, outputTokens: 2, failures: {} });
  });

  it('gives any model a deadline', async () => {
    const model = withLimits(scriptedChatModel(never), { timeoutMs: 30 });
    await expect(model.generate({ messages })).rejects.toMatchObject({ code: 'timeout' });
    await expect(model.stream({ messages })[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'timeout' });
    expect(model.stats.failures).toEqual({ timeout: 2 });
  });

  it.each([
    ['its own, where that is the shorter', { timeoutMs: 20 }, 3_600_000, 20],
    ["the request's, where that is the shorter", { timeoutMs: 3_600_000 }, 20, 20],
    ["the request's, where it has none of its own", {}, 3_600_000, 3_600_000],
    ['none, where both say so', { timeoutMs: Number.POSITIVE_INFINITY }, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    ['a minute, where nobody says', {}, undefined, 60_000],
    ['a minute, where its own is said to be undefined', { timeoutMs: undefined }, undefined, 60_000],
  ])('gives a call the deadline that is %s', async (_, limits, timeoutMs, expected) => {
    const asked: (number | undefined)[] = [];
    const model = withLimits(
      scriptedChatModel((request) => {
        asked.push(request.timeoutMs);
        return 'Yes.';
      }),
      limits,
    );
    await model.generate({ messages, timeoutMs });
    for await (const _part of model.stream({ messages, timeoutMs }));
    expect(asked).toEqual([expected, expected]);
  });

  it('keeps its deadline within an agent, whose turns have more time', async () => {
    const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: withLimits(scriptedChatModel(never), { timeoutMs: 30 }) });
    const answering = agent.respond({ userId: 'u1', message: 'Hi!', timeoutMs: 3_600_000 });
    await expect(answering).rejects.toMatchObject({ code: 'timeout', details: { timeoutMs: 30 } });
  });

  it('has no timer where the deadline is none, and one as late as timers go where it is far away', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const settled = vi.fn();
    for (const [timeoutMs, timers] of [
      [Number.POSITIVE_INFINITY, 0],
      [1e12, 1],
    ] as const) {
      const model = withLimits(scriptedChatModel(never));
      model.generate({ messages, timeoutMs }).then(settled, settled);
      await vi.advanceTimersByTimeAsync(1000);
      expect(vi.getTimerCount()).toBe(timers);
    }
    expect(settled).not.toHaveBeenCalled();
  });

  it('does not count the wait for a turn into the deadline', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const finish: ((text: string) => void)[] = [];
    const asked = () => new Promise<string>((resolve) => finish.push(resolve));
    const model = withLimits(scriptedChatModel(asked), { concurrency: 1 });
    const first = model.generate({ messages, timeoutMs: 10_000 });
    const second = model.generate({ messages, timeoutMs: 1000 });
    await vi.advanceTimersByTimeAsync(5000);
    finish[0]!('one');
    await first;
    await vi.advanceTimersByTimeAsync(900);
    finish[1]!('two');
    expect((await second).text).toBe('two');
  });

  it.each([0, -1, Number.NaN, '30000' as unknown as number])('refuses a deadline of %j', async (timeoutMs) => {
    const refusal = { code: 'invalid-option', details: { option: 'timeoutMs' } };
    expect(() => withLimits(scriptedChatModel([]), { timeoutMs })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    await expect(withLimits(scriptedChatModel([])).generate({ messages, timeoutMs })).rejects.toMatchObject(refusal);
  });

  it('turns what is not an RlpaError into model-failed', async () => {
    const model = withLimits(
      scriptedChatModel(() => {
        throw new TypeError('out of cheese');
      }),
    );
    await expect(model.generate({ messages })).rejects.toMatchObject({
      code: 'model-failed',
      message: expect.stringContaining('out of cheese'),
    });
  });

  it('takes the turn back from a model that throws instead of promising', async () => {
    const fail = () => {
      throw new Error('no such device');
    };
    const model = withLimits({ ...scriptedChatModel([]), generate: fail, stream: fail }, { concurrency: 1 });
    const failure = { code: 'model-failed', message: expect.stringContaining('no such device') };
    const { signal } = new AbortController();
    const listening = vi.spyOn(signal, 'addEventListener');
    const leaving = vi.spyOn(signal, 'removeEventListener');
    for (const _ of [1, 2]) {
      await expect(model.generate({ messages, signal })).rejects.toMatchObject(failure);
      await expect(model.stream({ messages, signal })[Symbol.asyncIterator]().next()).rejects.toMatchObject(failure);
    }
    expect(leaving).toHaveBeenCalledTimes(listening.mock.calls.length);
  });

  it('holds the turn of a model that does not stop until it has', async () => {
    let finish = () => {};
    const stubborn = {
      ...scriptedChatModel([]),
      generate: () => new Promise<never>((_, reject) => (finish = () => reject(new Error('done')))),
    };
    const model = withLimits(stubborn, { concurrency: 1, timeoutMs: 20 });
    await expect(model.generate({ messages })).rejects.toMatchObject({ code: 'timeout' });

    const next = model.generate({ messages });
    const early = await Promise.race([next.catch(() => 'over'), new Promise((resolve) => setTimeout(resolve, 60, 'waits'))]);
    expect(early).toBe('waits');
    finish();
    await expect(next).rejects.toMatchObject({ code: 'timeout' });
  });
});
