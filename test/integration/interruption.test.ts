import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RlpaError } from '../../src/errors';
import type { LocalPolicy, PolicyTrainingState } from '../../src/policy/index';
import { type PPOMetrics, PPOTrainer } from '../../src/training/index';
import { MemoryCheckpoints, MemoryLog, withoutTimings } from '../training/memory-record';
import { instruction, microEnvironment, microPolicy, personas, type Weights, warmWeights } from './micro-policy';

let weights: Weights;
beforeAll(async () => {
  weights = await warmWeights();
});

const opened: LocalPolicy[] = [];
afterEach(() => Promise.all(opened.splice(0).map((policy) => policy.dispose())));

function run() {
  const policy = microPolicy({ weights });
  opened.push(policy);
  const checkpoints = new MemoryCheckpoints();
  const metricsLog = new MemoryLog();
  const trainer = new PPOTrainer({
    policy,
    environment: microEnvironment(),
    personas,
    dialogues: 8,
    minibatches: 2,
    learningRate: 3e-3,
    valueWarmup: 0,
    stopKl: Number.POSITIVE_INFINITY,
    checkpoints,
    metricsLog,
  });
  return { policy, trainer, checkpoints, metricsLog };
}

/** Calls `then` once the policy's method has been called that often and is on its way. */
function during(policy: LocalPolicy, method: 'act' | 'score' | 'accumulatePPO' | 'update', count: number, then: () => void): void {
  const original = policy[method].bind(policy) as (...args: unknown[]) => Promise<unknown>;
  let calls = 0;
  Object.assign(policy, {
    [method]: (...args: unknown[]) => {
      const result = original(...args);
      if (++calls === count) setTimeout(then, 2);
      return result;
    },
  });
}

const records = (log: MemoryLog) => log.records.map(({ metrics }) => withoutTimings(metrics as PPOMetrics));

describe('a PPO run that is aborted by its signal', () => {
  let whole: { state: PolicyTrainingState; metrics: unknown[] };
  beforeAll(async () => {
    const { trainer, policy, metricsLog } = run();
    await trainer.train({ iterations: 2 });
    whole = { state: await policy.exportState(), metrics: records(metricsLog) };
    await policy.dispose();
  });

  // In an iteration: three calls of act, two of score, four of accumulatePPO and of update.
  it.each([
    ['in the first rollout', 'act', 2, 0],
    ['in the first update', 'accumulatePPO', 2, 0],
    ['in the second rollout', 'act', 5, 1],
    ['in the second scoring', 'score', 3, 1],
    ['in the second update', 'accumulatePPO', 7, 1],
    ['in a step of the second update', 'update', 5, 1],
  ] as const)('%s rejects, and its last checkpoint leads to where the run would have ended', async (_when, method, count, position) => {
    const { trainer, policy, checkpoints, metricsLog } = run();
    const controller = new AbortController();
    let after = 0;
    during(policy, method, count, () => controller.abort(new Error('enough')));
    controller.signal.addEventListener('abort', () => {
      for (const name of ['act', 'accumulatePPO', 'update'] as const) during(policy, name, 1, () => after++);
    });
    const error = await trainer.train({ iterations: 2, signal: controller.signal }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(RlpaError.isInstance(error) && error.code).toBe('aborted');
    expect((error as Error).cause).toMatchObject({ message: 'enough' });
    expect(after).toBeLessThanOrEqual(1); // nothing of what was left is done first; at most the call that had begun goes on
    expect(checkpoints.saved.at(-1)!.position).toBe(position);

    await trainer.train({ iterations: 2, resume: true });
    expect(await policy.exportState()).toEqual(whole.state);
    expect(records(metricsLog)).toEqual(whole.metrics);
  });

  it('does not go on without the checkpoint from between two iterations', async () => {
    const { trainer, policy } = run();
    const controller = new AbortController();
    during(policy, 'update', 1, () => controller.abort());
    await expect(trainer.train({ iterations: 2, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    await expect(trainer.train({ iterations: 2 })).rejects.toMatchObject({ code: 'invalid-option', details: { option: 'resume' } });
  });

  it('does nothing at all when its signal has fired before', async () => {
    const { trainer, checkpoints } = run();
    await expect(trainer.train({ iterations: 2, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
    expect(checkpoints.saved).toEqual([]);
  });
});

describe('a policy whose acting is aborted', () => {
  const state = (id: string, content: string) => ({
    dialogueId: id,
    messages: [
      { role: 'system' as const, content: instruction },
      { role: 'user' as const, content },
    ],
    seed: 3,
  });

  it('stops between two tokens and is as usable as before', async () => {
    const policy = microPolicy({ weights });
    opened.push(policy);
    const [expected] = await policy.act([state('fresh', 'Hello')]);
    policy.release(['fresh']);

    const controller = new AbortController();
    let sampled = 0;
    const broken = policy.sample([{ owner: 'a', prompt: policy.encodePrompt(state('a', 'Hello').messages), seed: 3 }], {
      signal: controller.signal,
      onToken: () => ++sampled === 3 && controller.abort(),
    });
    await expect(broken).rejects.toMatchObject({ code: 'aborted' });
    expect(sampled).toBe(3);

    const [again] = await policy.act([state('a', 'Hello')]); // the same dialogue, whose cache was left half-filled
    expect(again!.text).toBe(expected!.text);
    expect(again!.tokens!.completion).toEqual(expected!.tokens!.completion);
  });

  it('never starts a call whose signal fired while it waited', async () => {
    const policy = microPolicy({ weights });
    opened.push(policy);
    const controller = new AbortController();
    const first = policy.act([state('a', 'Hello')]);
    const second = policy.act([state('b', 'Hello')], { signal: controller.signal });
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'aborted' });
    expect((await first)[0]!.tokens!.completion.length).toBeGreaterThan(0);
  });
});

describe('while the policy computes', () => {
  it('the event loop stays free', async () => {
    const { trainer, policy } = run();
    let ticks = 0;
    let inUpdate = 0;
    const timer = setInterval(() => {
      ticks++;
    }, 1);
    // a batch in one piece, so that a step takes long compared with a tick
    const accumulate = policy.accumulatePPO.bind(policy);
    Object.assign(policy, {
      accumulatePPO: async (...args: Parameters<typeof accumulate>) => {
        const before = ticks;
        const report = await accumulate(...args);
        inUpdate += ticks - before;
        return report;
      },
    });
    try {
      await trainer.train({ iterations: 1 });
    } finally {
      clearInterval(timer);
    }
    // four passes forward and backward, and compiling them, with room to breathe in each
    expect(inUpdate).toBeGreaterThanOrEqual(8);
    expect(ticks).toBeGreaterThanOrEqual(30);
  });
});
