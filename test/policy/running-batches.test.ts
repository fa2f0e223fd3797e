import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { LocalPolicy } from '../../src/policy/index';
import { microPolicy, warmWeights } from '../integration/micro-policy';

/** A policy on a device of two lanes; `beside` counts what is run in the second. */
function lanedPolicy(options: Parameters<typeof microPolicy>[0]) {
  const device = cpuDevice({ threads: 2 });
  const beside = vi.spyOn(device.lanes[1]!, 'runSeries');
  return { policy: microPolicy({ ...options, device }), beside };
}

const requests = Array.from({ length: 20 }, (_, i) => ({ prompt: new Int32Array(40 + 3 * i).fill(5 + i), seed: i }));
/** What each of them is continued with by itself. */
async function alone(policy: LocalPolicy, prompts: readonly Int32Array[]) {
  const found: number[][] = [];
  for (const [seed, prompt] of prompts.entries()) found.push([...(await policy.sampleAlongside({ prompt, seed })).completion]);
  return found;
}
const prompts = requests.map(({ prompt }) => prompt);
async function together(policy: LocalPolicy, given: readonly Int32Array[] = prompts) {
  const samples = await Promise.all(given.map((prompt, seed) => policy.sampleAlongside({ prompt, seed })));
  return samples.map(({ completion }) => [...completion]);
}

describe('the running batches of a quick model', () => {
  // quick whatever else the machine does
  beforeEach(() => void vi.spyOn(performance, 'now').mockReturnValue(0));
  afterEach(() => vi.restoreAllMocks());

  it('are computed in all lanes where many ask at once, and write what each would have been written alone', async () => {
    const { policy, beside } = lanedPolicy({ seed: 1, maxNewTokens: 20 });
    const expected = await alone(policy, prompts);
    expect(beside).not.toHaveBeenCalled();
    expect(await together(policy)).toEqual(expected);
    expect(beside).toHaveBeenCalled();
    expect(policy.sampling).toMatchObject({ waiting: 0, running: 0 });
    await policy.dispose();
  });

  it('go on with dialogues that come back, in whichever lane these were', async () => {
    const { policy, beside } = lanedPolicy({ seed: 1, maxNewTokens: 12 });
    await alone(policy, prompts.slice(0, 1));
    const first = await together(policy);
    const longer = prompts.map((prompt, i) => Int32Array.of(...prompt, ...first[i]!, 7, 8, 9));
    const before = policy.sampling.reused;
    beside.mockClear();
    const second = await together(policy, longer);
    expect(beside).toHaveBeenCalled();
    // all of them but for rounding: a prompt but its last token, and what was sampled but its last token, which was never fed
    const most = longer.reduce((total, { length }) => total + length - 4, 0);
    expect(policy.sampling.reused - before).toBeGreaterThan(0.5 * most);
    const fresh = microPolicy({ seed: 1, maxNewTokens: 12 });
    expect(second).toEqual(await alone(fresh, longer));
    await Promise.all([policy.dispose(), fresh.dispose()]);
  });

  it('all go on by new weights when these change under way', async () => {
    const trained = microPolicy({ weights: await warmWeights(), maxNewTokens: 20 });
    const { policy, beside } = lanedPolicy({ seed: 1, maxNewTokens: 20 });
    await alone(policy, prompts.slice(0, 1));
    const under = together(policy);
    const changed = trained.exportState().then((state) => policy.importState(state));
    await Promise.all([under, changed]);
    expect(beside).toHaveBeenCalled();
    beside.mockClear();
    expect(await together(policy)).toEqual(await alone(trained, prompts));
    expect(beside).toHaveBeenCalled();
    await Promise.all([policy.dispose(), trained.dispose()]);
  });

  it('fail together with their device', async () => {
    const { policy, beside } = lanedPolicy({ seed: 1, maxNewTokens: 300 });
    await policy.sampleAlongside({ prompt: prompts[0]!, seed: 1, maxNewTokens: 2 });
    const all = prompts.map((prompt, seed) => policy.sampleAlongside({ prompt, seed }).then(String, ({ code }) => code));
    await vi.waitFor(() => expect(beside).toHaveBeenCalled());
    await policy.dispose();
    expect(new Set(await Promise.all(all))).toContain('device-failed');
    await expect(policy.sampleAlongside({ prompt: prompts[0]!, seed: 1 })).rejects.toMatchObject({ code: 'device-failed' });
  });
});

it('keeps the requests of a slow model in one batch, so that its weights are read once for all', async () => {
  const { policy, beside } = lanedPolicy({ seed: 1, maxNewTokens: 4 });
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  const onToken = () => {
    now += 100;
  };
  try {
    await policy.sampleAlongside({ prompt: prompts[0]!, seed: 1, onToken });
    await Promise.all(prompts.map((prompt, seed) => policy.sampleAlongside({ prompt, seed, onToken })));
  } finally {
    clock.mockRestore();
  }
  expect(beside).not.toHaveBeenCalled();
  await policy.dispose();
});
