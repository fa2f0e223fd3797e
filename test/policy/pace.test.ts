import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device } from '../../src/device/index';
import type { LocalPolicy } from '../../src/policy/index';
import { Pace } from '../../src/policy/pace';
import { microPolicy, warmWeights } from '../integration/micro-policy';

/** Milliseconds that every look at the clock takes: none, and eight tokens are sampled at a time; a hundred, and it is one. */
const clocks = { 'eight at a time': 0, 'one at a time': 100 };

/** How many rows the device computes at each step that samples from what was sampled before; more as it goes. */
function decodedRows(device: Device): number[] {
  const rows: number[] = [];
  const runSeries = device.runSeries.bind(device);
  device.runSeries = (program, options) => {
    if (!program.graph.inputs.has('tokens')) for (const _ of options.inputs) rows.push(program.graph.inputs.get('lengths')!.shape[0]!);
    return runSeries(program, options);
  };
  return rows;
}

/** The steps and series ahead that a device comes to, where so many steps take this long from one result to the next. */
function paceOf(msOf: (steps: number) => number, series = 20) {
  const pace = new Pace();
  const clock = vi.spyOn(performance, 'now');
  let now = 0;
  const chosen: (readonly [steps: number, ahead: number])[] = [];
  for (let i = 0; i < series; i++) {
    chosen.push([pace.steps, pace.ahead]);
    now += msOf(pace.steps);
    clock.mockReturnValue(now);
    // asked for while the one before was under way
    pace.finished(now - 2 * msOf(pace.steps), pace.steps);
  }
  clock.mockRestore();
  return chosen;
}

describe('the pace', () => {
  it.each([
    ['of steps of half a millisecond is eight at a time', (steps: number) => 0.5 * steps, [8, 1]],
    ['of steps of a millisecond is eight, which take less than ten', (steps: number) => steps, [8, 1]],
    ['of steps of two milliseconds is four', (steps: number) => 2 * steps, [4, 1]],
    ['of steps of ten milliseconds is one, with another under way', (steps: number) => 10 * steps, [1, 1]],
    ['of steps of a tenth of a second is one, and none under way', (steps: number) => 100 * steps, [1, 0]],
    ['where all but the crossing takes no time is eight', (steps: number) => Math.max(10, steps / 10), [8, 1]],
    ['where a crossing takes as long as three steps is four', (steps: number) => Math.max(9, 3 * steps), [4, 1]],
  ])('%s', (_, msOf, expected) => {
    expect(paceOf(msOf).at(-1)).toEqual(expected);
  });

  it('never tries what would keep everybody waiting', () => {
    expect(new Set(paceOf((steps) => 30 * steps).map(([steps]) => steps))).toEqual(new Set([1]));
  });

  it('follows a device that becomes slower, and one that becomes faster', () => {
    let count = 0;
    const chosen = paceOf((steps) => (count++ < 400 ? 0.5 : 20) * steps, 400);
    expect(chosen[100]).toEqual([8, 1]);
    expect(chosen.at(-1)).toEqual([1, 1]);
    count = 0;
    expect(paceOf((steps) => (count++ < 400 ? 20 : 0.5) * steps, 400).at(-1)).toEqual([8, 1]);
  });
});

describe('sampling several tokens at a time', () => {
  let weights: Awaited<ReturnType<typeof warmWeights>>;
  beforeAll(async () => {
    // less training: texts of many lengths
    weights = await warmWeights(40);
  });
  afterEach(() => vi.restoreAllMocks());

  /** What a work comes to by either clock, how often the device was asked, and for how many series at a time at most. */
  async function byEither<T>(work: (policy: LocalPolicy) => Promise<T>) {
    const found: { readonly result: T; readonly calls: number; readonly underWay: number }[] = [];
    for (const step of Object.values(clocks)) {
      const device = cpuDevice({ threads: 2 });
      const runSeries = device.runSeries.bind(device);
      let [calls, underWay, most] = [0, 0, 0];
      device.runSeries = (program, options) => {
        calls++;
        most = Math.max(most, ++underWay);
        return runSeries(program, options).finally(() => underWay--);
      };
      const policy = microPolicy({ weights, device, maxNewTokens: 40 });
      let time = 0;
      const clock = vi.spyOn(performance, 'now').mockImplementation(() => (time += step));
      found.push({ result: await work(policy), calls, underWay: most });
      clock.mockRestore();
      await policy.dispose();
    }
    return found as [(typeof found)[0], (typeof found)[0]];
  }

  const prompt = (policy: LocalPolicy, ...said: string[]) =>
    policy.encodePrompt(said.map((content, i) => ({ role: i % 2 === 0 ? ('user' as const) : ('assistant' as const), content })));

  it('gives a batch the same texts and numbers, turn after turn', async () => {
    const [eight, one] = await byEither(async (policy) => {
      const turns = [];
      const answers = Array<string>(6).fill('');
      for (const said of [['Hello'], ['Hello', 'I like tea.']]) {
        const requests = answers.map((answer, i) => ({
          owner: `dialogue ${i}`,
          prompt: prompt(policy, said[0]!, ...(said[1] ? [answer, said[1]] : [])),
          seed: i,
        }));
        const samples = await policy.sample(requests);
        samples.forEach((sample, i) => {
          answers[i] = policy.decode(sample);
        });
        turns.push(samples);
      }
      return turns;
    });
    expect(eight.result).toEqual(one.result);
    // some end in the middle of eight, some by their length
    const lengths = eight.result.flat().map(({ completion }) => completion.length);
    expect(new Set(lengths.map((length) => length % 8)).size).toBeGreaterThan(1);
    expect(eight.calls).toBeLessThan(one.calls / 2);
    // where tokens take no time the next are begun before these are read
    expect([eight.underWay, one.underWay]).toEqual([2, 1]);
  });

  it('computes as many rows at each step, whenever it becomes known that texts have ended', async () => {
    const stepRows: number[][] = [];
    for (const step of Object.values(clocks)) {
      const device = cpuDevice({ threads: 2 });
      const rows = decodedRows(device);
      const policy = microPolicy({ weights, device, maxNewTokens: 100, temperature: 1.5 });
      let time = 0;
      const clock = vi.spyOn(performance, 'now').mockImplementation(() => (time += step));
      const requests = Array.from({ length: 12 }, (_, i) => ({ owner: `dialogue ${i}`, prompt: prompt(policy, 'Hello'), seed: i }));
      const longest = Math.max(...(await policy.sample(requests)).map(({ completion }) => completion.length));
      clock.mockRestore();
      // those that were begun in vain are fewer or more
      stepRows.push(rows.slice(0, longest - 1));
      await policy.dispose();
    }
    expect(stepRows[0]).toEqual(stepRows[1]);
    expect(new Set(stepRows[0])).toEqual(new Set([12, 1]));
  });

  it('refuses a number of tokens that is none', async () => {
    const policy = microPolicy({ weights });
    const request = { prompt: prompt(policy, 'Hello'), seed: 1 };
    for (const maxNewTokens of [2.5, -1, Number.NaN]) {
      const refused = { code: 'invalid-option', details: { option: 'maxNewTokens', found: maxNewTokens } };
      await expect(policy.sample([{ owner: 'a', ...request }], { maxNewTokens })).rejects.toMatchObject(refused);
      await expect(policy.sampleAlongside({ ...request, maxNewTokens })).rejects.toMatchObject(refused);
    }
    await policy.dispose();
  });

  it('leaves rows out whose texts have ended, and gives the others what they would have had alone', async () => {
    const device = cpuDevice({ threads: 2 });
    const rows = decodedRows(device);
    // mostly sure of itself, a little less than it has learnt to be: some texts come to an end soon, and some do not
    const policy = microPolicy({ weights, device, maxNewTokens: 100, temperature: 1.5 });
    const requests = Array.from({ length: 12 }, (_, i) => ({ owner: `dialogue ${i}`, prompt: prompt(policy, 'Hello'), seed: i }));
    const together = await policy.sample(requests);
    expect(Math.max(...together.map(({ completion }) => completion.length))).toBeGreaterThan(48);
    expect(rows[0]).toBe(12);
    expect(rows.at(-1)).toBe(1);
    // the rows have changed places: each dialogue goes on from its own
    const turns = requests.map(({ owner, prompt, seed }, i) => ({
      owner,
      prompt: Int32Array.of(...prompt, ...together[i]!.completion, ...prompt.slice(-12)),
      seed: seed + 100,
    }));
    const next = await policy.sample(turns);
    for (const [i, request] of [...requests, ...turns].entries()) {
      policy.release(requests.map(({ owner }) => owner));
      const [alone] = await policy.sample([request]);
      expect([...[...together, ...next][i]!.completion], `request ${i}`).toEqual([...alone!.completion]);
    }
    await policy.dispose();
  });

  it('gives the running batch the same texts, ended by their own stops, and counts no token after an end', async () => {
    const [eight, one] = await byEither(async (policy) => {
      const told: number[][] = [];
      const samples = await Promise.all(
        [3, 5, 11, 40].map((most, i) => {
          const tokens: number[] = [];
          told.push(tokens);
          return policy.sampleAlongside({
            prompt: prompt(policy, 'Hello'),
            seed: i,
            maxNewTokens: most,
            onToken: (token) => tokens.push(token),
            // the second ends with its fourth token
            isEnd: () => i === 1 && tokens.length === 4,
          });
        }),
      );
      return { texts: samples.map(({ completion, finishReason }) => [...completion, finishReason]), told, tokens: policy.sampling.tokens };
    });
    expect(eight.result).toEqual(one.result);
    expect(eight.result.told[1]).toHaveLength(4);
    expect(eight.result.texts[1]!.at(-1)).toBe('stop');
    expect(eight.result.tokens).toBe(eight.result.told.flat().length);
    expect(eight.calls).toBeLessThan(one.calls);
  });

  it('ends with the token at which it is aborted', async () => {
    const [eight, one] = await byEither(async (policy) => {
      const sampled: number[] = [];
      for (const inBatch of [true, false]) {
        const controller = new AbortController();
        let count = 0;
        const onToken = () => {
          if (++count === 5) controller.abort();
        };
        const request = { prompt: prompt(policy, 'Hello'), seed: 7 };
        const aborted = inBatch
          ? policy.sample([{ owner: 'a', ...request }], { signal: controller.signal, onToken })
          : policy.sampleAlongside({ ...request, signal: controller.signal, onToken });
        await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
        sampled.push(count);
      }
      return sampled;
    });
    expect([eight.result, one.result]).toEqual([
      [5, 5],
      [5, 5],
    ]);
  });

  it('samples one token where none is asked for', async () => {
    const [eight] = await byEither(async (policy) => [
      await policy.sample([{ owner: 'a', prompt: prompt(policy, 'Hello'), seed: 1 }], { maxNewTokens: 0 }),
      [await policy.sampleAlongside({ prompt: prompt(policy, 'Hello'), seed: 1, maxNewTokens: 0 })],
    ]);
    expect(eight.result.flat().map(({ completion }) => completion.length)).toEqual([1, 1]);
  });
});
