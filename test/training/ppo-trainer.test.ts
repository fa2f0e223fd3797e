import { describe, expect, expectTypeOf, it } from 'vitest';
import type { DialogueEnvironment } from '../../src/environment/index';
import { RlpaError } from '../../src/errors';
import type { PPOSequence } from '../../src/policy/trainable-policy';
import { Random } from '../../src/random';
import { DualReward, responseReward } from '../../src/reward/index';
import {
  gatherExperience,
  type PPOMetrics,
  PPOTrainer,
  type PPOTrainerOptions,
  paperDefaults,
  ppoDefaults,
  type RolloutEnvironment,
  type TrainingWarning,
  updateWithPPO,
} from '../../src/training/index';
import { environmentOf, persona, turn } from '../environment/policies';
import { damagedAfter, MemoryCheckpoints, MemoryLog, withoutTimings } from './memory-record';
import { TabularPolicy, type TabularPolicyOptions } from './tabular-policy';
import { echo, late, scored, ToyEnvironment, type ToyOptions, toyPersonas } from './toy-environment';

const quick = { dialogues: 16, minibatches: 2, learningRate: 0.05, valueLearningRate: 0.05, stopKl: 10 } as const;

function setUp({
  policy: policyOptions = {},
  toy = {},
  ...options
}: Partial<PPOTrainerOptions> & { policy?: TabularPolicyOptions; toy?: Partial<ToyOptions> } extends infer T
  ? Omit<T, 'policy'> & { policy?: TabularPolicyOptions; toy?: Partial<ToyOptions> }
  : never = {}) {
  const policy = new TabularPolicy(policyOptions);
  const environment = new ToyEnvironment({ turns: 3, reward: late, ...toy });
  const trainer = new PPOTrainer({ policy, environment, personas: toyPersonas, ...quick, ...options });
  const iterations: PPOMetrics[] = [];
  const warnings: TrainingWarning[] = [];
  trainer.on('iteration', ({ metrics }) => iterations.push(metrics));
  trainer.on('warning', (warning) => warnings.push(warning));
  return { policy, environment, trainer, iterations, warnings };
}

describe('PPO learns', () => {
  it.each([1, 2, 3])('to answer a toy user as it wants, with seed %i', async (seed) => {
    const { trainer, iterations } = setUp({ seed, dialogues: 32, toy: { reward: echo } });
    await trainer.train({ iterations: 60 });
    // Chance is about 1/12 for the letter and 1/12 for stopping after it.
    expect(iterations[0]!.reward).toBeLessThan(0.1);
    expect(iterations.at(-1)!.reward).toBeGreaterThan(0.9);
  });

  it('what pays off only a turn later, when credit runs along the dialogue and not when it ends with the turn', async () => {
    // The first reply decides what the second turn earns.
    const reward: ToyOptions['reward'] = (_reply, _letter, turn, earlier) => scored(turn === 2 && earlier[0]!.startsWith('h') ? 1 : 0);
    const learn = async (credit: 'dialogue' | 'turn') => {
      const { trainer, iterations } = setUp({ toy: { turns: 2, reward }, credit, dialogues: 64 });
      await trainer.train({ iterations: 40 });
      return iterations.at(-1)!.reward!;
    };
    expect(await learn('dialogue')).toBeGreaterThan(0.4); // .5 is all there is: the first turn earns nothing
    expect(await learn('turn')).toBeLessThan(0.15);
  });

  it('nothing from turns without a verdict', async () => {
    // What would be rewarded is never judged; what is judged earns the same everywhere.
    const reward: ToyOptions['reward'] = (reply) =>
      reply.startsWith('h') ? { total: 100, status: 'unjudged', failure: 'timeout' } : scored(reply.length > 2 ? 1 : 0);
    const { trainer, iterations, warnings } = setUp({ toy: { reward } });
    await trainer.train({ iterations: 3 });
    expect(Math.max(...iterations.map((metrics) => metrics.reward!))).toBeLessThanOrEqual(1);
    expect(iterations[0]!.unjudgedTurns).toBeGreaterThan(0);
    expect(warnings[0]).toMatchObject({ code: 'unjudged-turns', iteration: 1 });
  });
});

describe('before the first update', () => {
  it('the ratio is 1, the KL to the reference is 0, and generation agrees with training', async () => {
    const { trainer, iterations } = setUp({ epochs: 1, minibatches: 1, policy: { temperature: 0.7 } });
    await trainer.train({ iterations: 1 });
    const metrics = iterations[0]!;
    expect(metrics).toMatchObject({ clipFraction: 0, kl: 0, maxAge: 0 });
    // The old log-probabilities are float32: what is left is their rounding.
    for (const ratio of [metrics.ratioMin, metrics.ratioMax]) expect(Math.abs(ratio! - 1)).toBeLessThan(1e-6);
    for (const kl of [metrics.approximateKl, metrics.klK1, metrics.klK3]) expect(Math.abs(kl!)).toBeLessThan(1e-6);
    expect(iterations[0]!.maxLogProbDifference).toBeLessThan(1e-6);
  });

  it('of every iteration the ratio is 1, and the newest weights sample', async () => {
    const { trainer, iterations } = setUp({ epochs: 1, minibatches: 1 });
    await trainer.train({ iterations: 4 });
    for (const metrics of iterations) {
      expect(metrics).toMatchObject({ maxAge: 0, droppedStaleTurns: 0 });
      expect(Math.max(metrics.ratioMax! - 1, 1 - metrics.ratioMin!)).toBeLessThan(1e-6);
    }
    expect(iterations.map(({ version }) => version)).toEqual([1, 2, 3, 4]);
    expect(iterations.at(-1)!.kl).not.toBe(0);
  });

  it('a generator that disagrees with training is reported', async () => {
    const { trainer, warnings, iterations } = setUp({ policy: { samplingError: 0.5 } });
    await trainer.train({ iterations: 1 });
    expect(iterations[0]!.maxLogProbDifference).toBeCloseTo(0.5, 5);
    expect(warnings.map(({ code }) => code)).toContain('generation-mismatch');
  });
});

describe('an update', () => {
  const experience = async (policy: TabularPolicy) => {
    const episodes = await new ToyEnvironment({ turns: 3, reward: late }).rollout({ policy, personas: toyPersonas, seed: 4 });
    const options = { gamma: 1, lambda: 0.95, klCoefficient: 0, credit: 'dialogue', history: 'keep', maxStaleness: 0 } as const;
    return gatherExperience(episodes, policy, options);
  };
  const plan = { firstStep: 0, totalSteps: 100, valueOnly: false, klCoefficient: 0 };

  it('has the same gradient whatever the micro-batch size', async () => {
    const gradients: number[][] = [];
    for (const microBatch of [1, 2, 5]) {
      const policy = new TabularPolicy({ microBatch });
      const kept: number[] = [];
      policy.update = async () => {
        kept.push(...policy.logitGradient, ...policy.valueGradient);
        return { gradientNorm: 0 };
      };
      const { dialogues } = await experience(policy);
      await updateWithPPO(policy, dialogues, { ...ppoDefaults, epochs: 1, minibatches: 1 }, plan, new Random(1));
      gradients.push(kept);
    }
    expect(gradients[0]!.some((value) => value !== 0)).toBe(true);
    for (const gradient of gradients.slice(1)) {
      for (const [i, value] of gradient.entries()) expect(Math.abs(value - gradients[0]![i]!)).toBeLessThan(1e-12);
    }
  });

  it('divides the loss by the trainable tokens of the whole step', async () => {
    const policy = new TabularPolicy();
    const { dialogues, trainableTokens } = await experience(policy);
    await updateWithPPO(policy, dialogues, { ...ppoDefaults, epochs: 1, minibatches: 2 }, plan, new Random(1));
    const calls = policy.seen.filter(({ method }) => method === 'accumulatePPO');
    const tokens = ({ sequences }: (typeof calls)[number]) =>
      sequences.reduce((sum, { actionMask }) => sum + actionMask.reduce((bits, bit) => bits + bit, 0), 0);
    expect(calls.map(({ loss }) => loss!.normalizer)).toEqual(calls.map(tokens));
    expect(tokens(calls[0]!) + tokens(calls[1]!)).toBe(trainableTokens);
  });

  it('sees every dialogue once an epoch, in another order each time', async () => {
    const policy = new TabularPolicy();
    const { dialogues } = await experience(policy);
    await updateWithPPO(policy, dialogues, { ...ppoDefaults, epochs: 2, minibatches: 5, stopKl: 100 }, plan, new Random(2));
    const order = policy.seen.filter(({ method }) => method === 'accumulatePPO').map(({ sequences }) => sequences[0]!);
    expect(new Set(order.slice(0, 5))).toEqual(new Set(dialogues.flat()));
    expect(new Set(order.slice(5))).toEqual(new Set(dialogues.flat()));
    expect(order.slice(5)).not.toEqual(order.slice(0, 5));
  });

  it('stops its epochs when the policy has moved too far, and leaves no gradient behind', async () => {
    const policy = new TabularPolicy();
    const { dialogues } = await experience(policy);
    const options = { ...ppoDefaults, epochs: 50, minibatches: 1, learningRate: 0.5, stopKl: 0.02 };
    const report = await updateWithPPO(policy, dialogues, options, plan, new Random(1));
    expect(report.stoppedEarly).toBe(true);
    expect(report.updates).toBeGreaterThan(0);
    expect(report.updates).toBeLessThan(50);
    expect(policy.logitGradient.every((value) => value === 0)).toBe(true);
  });

  it('fails, and says how to go on, when the loss is not a number', async () => {
    const policy = new TabularPolicy();
    const { dialogues } = await experience(policy);
    const broken = dialogues.map((sequences) => sequences.map((s): PPOSequence => ({ ...s, advantages: s.advantages.fill(Number.NaN) })));
    const before = policy.logits.slice();
    await expect(updateWithPPO(policy, broken, ppoDefaults, plan, new Random(1))).rejects.toMatchObject({ code: 'training-failed' });
    expect(policy.logits).toEqual(before);
  });

  it('gives the optimiser its scalars by schedule', async () => {
    const { trainer, policy } = setUp({
      epochs: 1,
      minibatches: 1,
      schedule: 'linear',
      warmup: 0,
      learningRate: 0.1,
      valueLearningRate: 0.2,
      valueWarmup: 0,
    });
    await trainer.train({ iterations: 4 });
    expect(policy.steps.map(({ learningRate }) => learningRate)).toEqual([0.1, expect.closeTo(0.075), 0.05, expect.closeTo(0.025)]);
    expect(policy.steps.map(({ valueLearningRate }) => valueLearningRate)).toEqual([0.2, expect.closeTo(0.15), 0.1, expect.closeTo(0.05)]);
    expect(policy.steps[0]).toMatchObject({ betas: [0.9, 0.95], epsilon: 1e-5, weightDecay: 0, decayAll: false, maxGradientNorm: 1 });
  });

  it('moves the value head only while that is warmed up', async () => {
    const { trainer, policy } = setUp({ valueWarmup: 2 });
    const before = policy.logits.slice();
    await trainer.train({ iterations: 2 });
    expect(policy.logits).toEqual(before);
    expect(policy.valueTable.some((value) => value !== 0)).toBe(true);
    await trainer.train({ iterations: 3 });
    expect(policy.logits).not.toEqual(before);
  });

  it('is skipped and counted when no action was better than another', async () => {
    const { trainer, iterations, warnings, policy } = setUp({ toy: { turns: 1, reward: () => scored(1) }, lambda: 1 });
    await trainer.train({ iterations: 2 });
    expect(iterations.map(({ skipped, skippedIterations, updates }) => ({ skipped, skippedIterations, updates }))).toEqual([
      { skipped: true, skippedIterations: 1, updates: 0 },
      { skipped: true, skippedIterations: 2, updates: 0 },
    ]);
    expect(warnings.map(({ code }) => code)).toEqual(['skipped-iteration', 'skipped-iteration']);
    expect(policy.version).toBe(0);
    // what was not measured is not logged as 0
    const unmeasured = { loss: null, entropy: null, approximateKl: null, ratioMax: null, gradientNorm: null, learningRate: null };
    for (const metrics of iterations) expect(metrics).toMatchObject({ ...unmeasured, kl: 0, reward: 1 });
  });
});

describe('nothing to learn from', () => {
  it('since no state after the turn limit could be had or read is said to be why the run stops', async () => {
    const { trainer, environment } = setUp({ toy: { end: 'truncated', turns: 1 } });
    const rollout = environment.rollout.bind(environment);
    environment.rollout = async (request) => (await rollout(request)).map((episode) => ({ ...episode, nextState: undefined }));
    await expect(trainer.train({ iterations: 1 })).rejects.toMatchObject({
      code: 'training-failed',
      message: expect.stringContaining('the state after the turn limit could not be had or read'),
    });
  });
});

describe('a number that is none', () => {
  it('ends the run instead of an iteration, and no checkpoint holds it', async () => {
    const checkpoints = new MemoryCheckpoints();
    let turns = 0;
    const reward: ToyOptions['reward'] = (...asked) => (++turns === 70 ? scored(Number.NaN) : late(...asked)); // 48 an iteration
    const { trainer, warnings } = setUp({ checkpoints, rewardScaling: true, toy: { reward } });
    await expect(trainer.train({ iterations: 4 })).rejects.toMatchObject({ code: 'training-failed' });
    expect(warnings).toEqual([]);
    expect((await checkpoints.latest())!.position).toBe(1);
    expect(JSON.stringify(checkpoints.saved.map(({ trainer: state }) => state))).not.toContain('null');
  });
});

describe('the KL to the reference', () => {
  it('goes into the loss as k2 or k3 and then not into the reward', async () => {
    for (const kl of ['reward', 'k2', 'k3'] as const) {
      const { trainer, policy } = setUp({ kl, klCoefficient: 0.3, valueWarmup: 0 });
      await trainer.train({ iterations: 1 });
      const { loss } = policy.seen.find(({ method }) => method === 'accumulatePPO')!;
      expect(loss).toMatchObject(kl === 'reward' ? { klLossCoefficient: 0 } : { klLossCoefficient: 0.3, klLoss: kl });
    }
  });

  it('is in the rewards only when it is to be', async () => {
    const earned = async (kl: 'reward' | 'k3') => {
      // λ = 0 and a value head that stays at 0: the return of a token is what it earned itself.
      const { trainer, policy } = setUp({ kl, klCoefficient: 1, lambda: 0, valueWarmup: 0, valueLearningRate: 0 });
      await trainer.train({ iterations: 2 });
      return (policy.seen.at(-1)!.sequences as PPOSequence[]).flatMap(({ returns }) => [...returns]);
    };
    const eighths = (value: number) => Number.isInteger(value * 8);
    expect((await earned('k3')).every(eighths)).toBe(true);
    expect((await earned('reward')).every(eighths)).toBe(false);
  });

  it.each(['reward', 'k3'] as const)('holds the policy back, as %s', async (kl) => {
    const drift = async (klCoefficient: number) => {
      const { trainer, iterations } = setUp({ kl, klCoefficient, dialogues: 32 });
      await trainer.train({ iterations: 20 });
      return iterations.at(-1)!.kl;
    };
    expect(await drift(1)).toBeLessThan(0.5 * (await drift(0)));
  });

  it('steers its coefficient when it has a target', async () => {
    const { trainer, iterations } = setUp({ klTarget: 1e-4, klHorizon: 16, klCoefficient: 0.1, valueWarmup: 0 });
    await trainer.train({ iterations: 4 });
    // KL is 0 in the first iteration: 0.1 · (1 − 0.2); afterwards far above the target: · (1 + 0.2).
    expect(iterations[0]!.klCoefficient).toBe(0.1);
    expect(iterations[1]!.klCoefficient).toBeCloseTo(0.08, 10);
    expect(iterations[2]!.klCoefficient).toBeCloseTo(iterations[1]!.kl > 1e-4 ? 0.096 : 0.064, 10);
  });
});

describe('values', () => {
  it('that nothing bounds are warned of, once', async () => {
    const warned = async (options: Parameters<typeof setUp>[0]) => {
      const { trainer, warnings } = setUp(options);
      await trainer.train({ iterations: 2 });
      return warnings.filter(({ code }) => code === 'unbounded-values').length;
    };
    expect(await warned({ gamma: 1, toy: { end: 'truncated' } })).toBe(1);
    expect(await warned({ gamma: 0.9, toy: { end: 'truncated' } })).toBe(0);
    expect(await warned({ gamma: 1, toy: { end: 'terminated' } })).toBe(0);
    expect(await warned({ gamma: 1, credit: 'turn', toy: { end: 'truncated' } })).toBe(0);
  });
});

describe('metrics', () => {
  it('say everything that an iteration has to say, in numbers that JSON keeps', async () => {
    const { trainer, iterations } = setUp({ toy: { end: 'truncated' } });
    await trainer.train({ iterations: 2 });
    const metrics = iterations[1]!;
    expect(JSON.parse(JSON.stringify(withoutTimings(metrics)))).toEqual(withoutTimings(metrics));
    expect(metrics).toMatchObject({
      iteration: 2,
      episodes: 16,
      turns: 48,
      truncatedRate: 1,
      failedEpisodes: 0,
      malformedRate: 0,
      unjudgedTurns: 0,
    });
    for (const name of ['entropy', 'gradientNorm', 'responseLength', 'advantageStd', 'learningRate', 'trainableTokens'] as const) {
      expect(metrics[name], name).toBeGreaterThan(0);
    }
    expect(metrics.ratioMin).toBeLessThan(1);
    expect(metrics.ratioMax).toBeGreaterThan(1);
    expect(metrics.explainedVariance).toBeLessThanOrEqual(1);
  });

  it('are the same for two runs with one seed and differ with another', async () => {
    const run = async (seed: number) => {
      const { trainer, iterations } = setUp({ seed });
      await trainer.train({ iterations: 3 });
      return iterations.map(withoutTimings);
    };
    expect(await run(7)).toEqual(await run(7));
    expect(await run(7)).not.toEqual(await run(8));
  });

  it('come with the rollouts, once an iteration', async () => {
    const { trainer } = setUp();
    const seen: string[] = [];
    trainer.on('rollout', ({ iteration, iterations, episodes }) => seen.push(`rollout ${iteration}/${iterations} ${episodes.length}`));
    trainer.on('iteration', ({ iteration }) => seen.push(`iteration ${iteration}`));
    await trainer.train({ iterations: 2 });
    expect(seen).toEqual(['rollout 1/2 16', 'iteration 1', 'rollout 2/2 16', 'iteration 2']);
  });
});

describe('users', () => {
  it('are met equally often, in a new order on every pass', async () => {
    const { trainer, environment } = setUp({ dialogues: 4 });
    await trainer.train({ iterations: 5 });
    const met = environment.requests.flatMap(({ personas }) => personas.map(({ id }) => id));
    for (const { id } of toyPersonas) expect(met.filter((other) => other === id)).toHaveLength(4);
    const passes = [0, 5, 10, 15].map((from) => met.slice(from, from + 5).join(' '));
    expect(new Set(passes).size).toBeGreaterThan(1);
    expect(new Set(environment.requests.map(({ seed }) => seed)).size).toBe(5);
  });

  it('who cannot be had are counted, and the others are learnt from', async () => {
    const { trainer, iterations, warnings } = setUp({ toy: { end: 'failed' } });
    await trainer.train({ iterations: 1 });
    expect(iterations[0]).toMatchObject({ failedEpisodes: 16, skipped: false });
    expect(warnings[0]).toMatchObject({ code: 'failed-episodes' });
  });

  it('are asked what they would have said after the turn limit only where that is worth something', async () => {
    const asked = async (credit: 'dialogue' | 'turn') => {
      const { trainer, environment } = setUp({ credit });
      await trainer.train({ iterations: 1 });
      return environment.requests[0]!.bootstrap;
    };
    expect(await asked('dialogue')).toBe(true);
    expect(await asked('turn')).toBe(false);
  });

  it('who cannot be had after the turn limit cost the last turn, and are warned of', async () => {
    const { trainer, environment, iterations, warnings } = setUp({ toy: { end: 'truncated' } });
    const rollout = environment.rollout.bind(environment);
    environment.rollout = async (request) =>
      (await rollout(request)).map((episode, d) => (d < 3 ? { ...episode, nextState: undefined } : episode));
    await trainer.train({ iterations: 1 });
    expect(iterations[0]).toMatchObject({ unknownNextStates: 3, failedEpisodes: 0, tooLongEpisodes: 0 });
    expect(warnings).toEqual([
      { code: 'unknown-next-states', iteration: 1, message: expect.stringMatching(/^3 of 16 dialogues .* masked\.$/) },
    ]);
  });

  it('whom no judge can judge stop the run with the reason', async () => {
    const { trainer } = setUp({ toy: { reward: () => ({ total: 0, status: 'unjudged', failure: 'timeout: no verdict' }) } });
    await expect(trainer.train({ iterations: 5 })).rejects.toMatchObject({
      code: 'training-failed',
      message: expect.stringContaining('timeout: no verdict'),
    });
  });

  it('whom a judge failed to judge do not stop a run in which all other outputs are malformed', async () => {
    const { trainer, iterations, warnings } = setUp({
      toy: {
        reward: (reply) =>
          reply.startsWith('h')
            ? { total: 0, status: 'unjudged', failure: 'model-failed: no verdict' }
            : { total: -0.2, status: 'malformed' },
      },
    });
    await trainer.train({ iterations: 2 });
    expect(iterations).toHaveLength(2);
    expect(iterations[0]!.unjudgedTurns).toBeGreaterThan(0);
    expect(warnings.map(({ code }) => code)).toContain('unjudged-turns');
  });

  it.each(['model-unreachable', 'budget-exceeded'] as const)(
    'whose judge is gone (%s) stop the run before it learns, also where most outputs are malformed',
    async (code) => {
      const policy = new TabularPolicy();
      const act = policy.act.bind(policy);
      let acted = 0;
      policy.act = async (states, options) =>
        (await act(states, options)).map((action) => ({ ...action, text: acted++ % 4 === 0 ? turn({}, 'Hm.').text : 'Hm.' }));
      const judge = { name: 'gone', judge: () => Promise.reject(new RlpaError(code, 'no verdict')) };
      const environment = environmentOf({ reward: new DualReward({ response: responseReward({ judge }) }), maxTurns: 2 });
      const before = policy.logits.slice();
      const trainer = new PPOTrainer({ policy, environment, personas: [persona], ...quick });
      await expect(trainer.train({ iterations: 2 })).rejects.toMatchObject({ code });
      expect([trainer.iteration, policy.logits]).toEqual([0, before]);
    },
  );
});

describe('a run that is stopped', () => {
  const options = { seed: 5, klTarget: 0.01, klHorizon: 50, rewardScaling: true, schedule: 'cosine' } as const;
  const uninterrupted = async (policyOptions: TabularPolicyOptions = {}) => {
    const log = new MemoryLog();
    const { trainer, policy } = setUp({ ...options, metricsLog: log, policy: policyOptions });
    await trainer.train({ iterations: 6 });
    return { log: log.records.map(({ metrics }) => withoutTimings(metrics)), state: await policy.exportState() };
  };

  // The calls of the policy are numbered: some fall into a rollout, some into scoring, some between two steps of an update.
  it.each([2, 4, 9, 17, 26, 33, 47])('at call %i of the policy ends as if it had not been', async (fatal) => {
    const expected = await uninterrupted();
    const checkpoints = new MemoryCheckpoints();
    const log = new MemoryLog();
    let calls = 0;
    const killed = setUp({
      ...options,
      checkpoints,
      metricsLog: log,
      checkpointEvery: 2,
      policy: {
        onCall: () => {
          if (++calls === fatal) throw new Error('killed');
        },
      },
    });
    await expect(killed.trainer.train({ iterations: 6 })).rejects.toThrow('killed');
    const resumed = setUp({ ...options, checkpoints, metricsLog: log, checkpointEvery: 2 });
    await resumed.trainer.train({ iterations: 6, resume: true });
    expect(resumed.warnings.map(({ code }) => code)).not.toContain('options-changed');
    expect(log.records.map(({ metrics }) => withoutTimings(metrics))).toEqual(expected.log);
    expect(await resumed.policy.exportState()).toEqual(expected.state);
  });

  it('by its signal rejects with aborted, in a rollout as in an update, and can be resumed', async () => {
    // In small micro-batches, so that an update can be left with some of its gradient.
    const expected = await uninterrupted({ microBatch: 2 });
    for (const method of ['act', 'score', 'accumulatePPO', 'update']) {
      const checkpoints = new MemoryCheckpoints();
      const log = new MemoryLog();
      const controller = new AbortController();
      let calls = 0;
      const onCall = (called: string) => {
        if (called === method && ++calls === 7) controller.abort(new Error('enough'));
      };
      const { trainer } = setUp({ ...options, checkpoints, metricsLog: log, policy: { onCall, microBatch: 2 } });
      await expect(trainer.train({ iterations: 6, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
      expect(checkpoints.saved.length).toBeGreaterThan(0);
      await trainer.train({ iterations: 6, resume: true });
      expect(log.records.map(({ metrics }) => withoutTimings(metrics))).toEqual(expected.log);
    }
  });

  it('in the middle of an update does not go on from half an iteration, but says how to go on', async () => {
    const stopped = async (checkpoints?: MemoryCheckpoints) => {
      const controller = new AbortController();
      let updates = 0;
      const onCall = (method: string) => {
        if (method === 'update' && ++updates === 2) controller.abort();
      };
      const { trainer } = setUp({ checkpoints, policy: { onCall } });
      await expect(trainer.train({ iterations: 3, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
      return trainer;
    };
    const kept = await stopped(new MemoryCheckpoints());
    await expect(kept.train({ iterations: 3 })).rejects.toMatchObject({ code: 'invalid-option', details: { option: 'resume' } });
    await kept.train({ iterations: 3, resume: true });
    expect(kept.iteration).toBe(3);
    await expect((await stopped()).train({ iterations: 3 })).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('Expected a new trainer'),
      details: { option: 'checkpoints' },
    });
  });

  it('before the first step of an update goes on from where its iteration began', async () => {
    const controller = new AbortController();
    const onCall = (method: string) => {
      if (method === 'accumulatePPO') controller.abort();
    };
    const { trainer, policy } = setUp({ policy: { onCall } });
    await expect(trainer.train({ iterations: 2, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    await trainer.train({ iterations: 2 });
    const whole = setUp();
    await whole.trainer.train({ iterations: 2 });
    expect(await policy.exportState()).toEqual(await whole.policy.exportState());
  });

  it('before it began does nothing', async () => {
    const checkpoints = new MemoryCheckpoints();
    const { trainer } = setUp({ checkpoints });
    await expect(trainer.train({ iterations: 3, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
    expect(checkpoints.saved).toEqual([]);
  });

  it('by an endpoint that died says so and leaves the checkpoint of the last whole iteration', async () => {
    const checkpoints = new MemoryCheckpoints();
    let rollouts = 0;
    const onRollout = () => {
      if (++rollouts === 3) throw new RlpaError('model-unreachable', 'http://127.0.0.1:1 is gone');
    };
    const { trainer } = setUp({ checkpoints, toy: { onRollout } });
    await expect(trainer.train({ iterations: 5 })).rejects.toMatchObject({ code: 'model-unreachable' });
    expect((await checkpoints.latest())!.position).toBe(2);
    const resumed = setUp({ checkpoints });
    await resumed.trainer.train({ iterations: 5, resume: true });
    expect(resumed.trainer.iteration).toBe(5);
  });

  it('has a checkpoint even when it stops in its first iteration', async () => {
    const checkpoints = new MemoryCheckpoints();
    const onRollout = () => {
      throw new RlpaError('model-unreachable', 'gone');
    };
    const { trainer } = setUp({ checkpoints, toy: { onRollout } });
    await expect(trainer.train({ iterations: 5 })).rejects.toMatchObject({ code: 'model-unreachable' });
    expect((await checkpoints.latest())!.position).toBe(0);
  });
});

describe('resuming', () => {
  it('refuses the checkpoint of another model and leaves the policy as it was', async () => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints }).trainer.train({ iterations: 1 });
    const other = setUp({ checkpoints, policy: { fingerprint: 'another' } });
    await expect(other.trainer.train({ iterations: 2, resume: true })).rejects.toMatchObject({
      code: 'invalid-checkpoint',
      details: { expected: 'another', found: 'tabular-12' },
    });
    expect(other.policy.version).toBe(0);
  });

  const resumed = async (before: object, now: object) => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints, ...before }).trainer.train({ iterations: 1 });
    const { trainer, warnings } = setUp({ checkpoints, ...now });
    await trainer.train({ iterations: 1, resume: true });
    return warnings;
  };
  const changed = (list: string) => [
    { code: 'options-changed', iteration: 1, message: `The resumed run will differ from the one that was stopped: ${list}.` },
  ];

  it('says which options are other than those of the run that was stopped', async () => {
    expect(await resumed({}, { learningRate: 0.01 })).toEqual(changed('learningRate was 0.05 and is 0.01'));
  });

  it('says which options were left out in one of the two', async () => {
    expect(await resumed({ klTarget: 0.1 }, {})).toEqual(changed('klTarget was 0.1 and is left out'));
    expect(await resumed({}, { klTarget: 0.1 })).toEqual(changed('klTarget was left out and is 0.1'));
  });

  it('says where its policy samples from another distribution', async () => {
    expect(await resumed({ policy: { temperature: 0.7 } }, { policy: { limits: { topK: 40 } } })).toEqual(
      changed('temperature was 0.7 and is 1, topK was left out and is 40'),
    );
  });

  it('says where its policy may write more or its dialogues are played and rewarded under other conditions', async () => {
    const before = { policy: { maxTokens: 4 }, toy: { conditions: { profileWeight: 1.5, maxTurns: 3 } } };
    const now = { policy: { maxTokens: 6 }, toy: { conditions: { profileWeight: 1, maxTurns: 3 } } };
    expect(await resumed(before, now)).toEqual(changed('profileWeight was 1.5 and is 1, maxNewTokens was 4 and is 6'));
  });

  it('says which checkpoint is damaged and where it goes on instead', async () => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints, checkpointEvery: 1 }).trainer.train({ iterations: 2 });
    const { trainer, warnings } = setUp({ checkpoints: damagedAfter(1, checkpoints) });
    await trainer.train({ iterations: 2, resume: true });
    expect(warnings).toEqual([
      {
        code: 'damaged-checkpoint',
        iteration: 1,
        message: 'Goes on from iteration 1, for a later checkpoint is damaged: checkpoint-2: the file is truncated.',
      },
    ]);
    expect(trainer.iteration).toBe(2);
  });

  it('is refused where the checkpoints are gone and the policy is no longer as it began, and leaves the log as it is', async () => {
    const checkpoints = new MemoryCheckpoints();
    const metricsLog = new MemoryLog();
    const controller = new AbortController();
    let updates = 0;
    const onCall = (method: string) => {
      if (method === 'update' && ++updates === 2) controller.abort();
    };
    const { trainer, policy } = setUp({ checkpoints, metricsLog, policy: { onCall } });
    await expect(trainer.train({ iterations: 3, signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    checkpoints.saved.length = 0;
    const torn = await policy.exportState();
    await expect(trainer.train({ iterations: 3, resume: true })).rejects.toMatchObject({
      code: 'invalid-checkpoint',
      message: expect.stringContaining('Expected a new trainer'),
    });
    expect(await policy.exportState()).toEqual(torn);

    const whole = setUp({ checkpoints, metricsLog });
    await whole.trainer.train({ iterations: 1 });
    checkpoints.saved.length = 0;
    await expect(whole.trainer.train({ iterations: 2, resume: true })).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    expect(metricsLog.records).toHaveLength(1);
  });

  it('says nothing where it is only saved at other times', async () => {
    expect(await resumed({ checkpointEvery: 2 }, { checkpointEvery: 3 })).toEqual([]);
  });

  it('must be asked for where a run is already kept', async () => {
    const checkpoints = new MemoryCheckpoints();
    await setUp({ checkpoints }).trainer.train({ iterations: 1 });
    await expect(setUp({ checkpoints }).trainer.train({ iterations: 1 })).rejects.toMatchObject({
      code: 'invalid-option',
      details: { option: 'resume' },
    });
    expect(checkpoints.saved).toHaveLength(2);
  });

  it('starts at the beginning where nothing is kept yet', async () => {
    const { trainer } = setUp({ checkpoints: new MemoryCheckpoints() });
    await trainer.train({ iterations: 1, resume: true });
    expect(trainer.iteration).toBe(1);
  });
});

describe('options', () => {
  it('take a dialogue environment', () => {
    expectTypeOf<DialogueEnvironment>().toExtend<RolloutEnvironment>();
  });

  it.each([
    [{ learningRate: -1 }, 'learningRate', -1],
    [{ learningRate: Number.NaN }, 'learningRate', Number.NaN],
    [{ clip: 0 }, 'clip', 0],
    [{ gamma: 1.5 }, 'gamma', 1.5],
    [{ epochs: 2.5 }, 'epochs', 2.5],
    [{ dialogues: '64' }, 'dialogues', '64'],
    [{ klCoefficient: Number.POSITIVE_INFINITY }, 'klCoefficient', Number.POSITIVE_INFINITY],
    [{ betas: [0.9, 1] }, 'betas', 'a list of 2'],
    [{ credit: 'everyone' }, 'credit', 'everyone'],
    [{ personas: [] }, 'personas', 'a list of 0'],
    [{ checkpoints: {} }, 'checkpoints', 'an object'],
    [{ klTarget: 0.1, klCoefficient: 0 }, 'klCoefficient', 0],
    [{ learningrate: 1 }, 'learningrate', 'learningrate'],
  ])('that make no sense are refused before anything happens: %o', (wrong, option, found) => {
    const policy = new TabularPolicy();
    const environment = new ToyEnvironment({ turns: 1, reward: echo });
    const build = () => new PPOTrainer({ policy, environment, personas: toyPersonas, ...(wrong as object) });
    expect(build).toThrow(expect.objectContaining({ code: 'invalid-option', details: { option, found, expected: expect.any(String) } }));
  });

  it('name what was expected and what was found', () => {
    expect(() => setUp({ learningRate: -1 })).toThrow(/'learningRate': expected a finite number above 0, found -1/);
  });

  it('that are undefined count as left out', () => {
    expect(setUp({ gamma: undefined, klTarget: undefined }).trainer.options.gamma).toBe(ppoDefaults.gamma);
  });

  it('refuse a policy that cannot be trained', () => {
    const environment = new ToyEnvironment({ turns: 1, reward: echo });
    const policy = { name: 'chat', act: async () => [] } as unknown as TabularPolicy;
    expect(() => new PPOTrainer({ policy, environment, personas: toyPersonas })).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: expect.objectContaining({ option: 'policy' }) }),
    );
  });

  it('of the paper are accepted as they are', () => {
    expect(setUp(paperDefaults).trainer.options).toMatchObject({
      learningRate: 5e-7,
      valueLearningRate: 9e-6,
      klCoefficient: 0.01,
      epochs: 1,
    });
  });

  it('of train are refused too', async () => {
    const { trainer, environment } = setUp();
    await expect(trainer.train({ iterations: 0 })).rejects.toMatchObject({ code: 'invalid-option', details: { option: 'iterations' } });
    expect(environment.requests).toEqual([]);
  });
});
