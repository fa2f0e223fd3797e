import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DialogueEnvironmentOptions, Episode } from '../../src/environment/index';
import type { LocalPolicy, PolicyTrainingState, PPOLossOptions, PPOSequence } from '../../src/policy/index';
import { type Experience, gatherExperience, type PPOMetrics, PPOTrainer, SFTTrainer } from '../../src/training/index';
import { microEnvironment, microPolicy, personas, type Weights, warmWeights } from './micro-policy';

const lora = { rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] as const };

let weights: Weights;
beforeAll(async () => {
  weights = await warmWeights();
});

const opened: LocalPolicy[] = [];
function open(options: Parameters<typeof microPolicy>[0] = {}): LocalPolicy {
  const policy = microPolicy({ weights, ...options });
  opened.push(policy);
  return policy;
}
afterEach(() => Promise.all(opened.splice(0).map((policy) => policy.dispose())));

function gather(episodes: readonly Episode[], policy: LocalPolicy, history: 'keep' | 'any' = 'keep'): Promise<Experience> {
  return gatherExperience(episodes, policy, {
    gamma: 0.9,
    lambda: 0.95,
    klCoefficient: 0.01,
    credit: 'dialogue',
    maxStaleness: 0,
    history,
  });
}

async function experienceOf(policy: LocalPolicy, options: Partial<DialogueEnvironmentOptions> = {}): Promise<Experience> {
  const environment = microEnvironment(options);
  const episodes = await environment.rollout({ policy, personas: personas.slice(0, 8), seed: 11 });
  return gather(episodes, policy, environment.history === 'keep' ? 'keep' : 'any');
}

function lossOf(batch: readonly PPOSequence[]): PPOLossOptions {
  return {
    clip: 0.2,
    valueClip: 1,
    valueCoefficient: 0.5,
    entropyCoefficient: 0.01,
    klLossCoefficient: 0.05,
    klLoss: 'k3',
    normalizer: batch.reduce((tokens, { actionMask }) => tokens + actionMask.reduce((sum, bit) => sum + bit, 0), 0),
  };
}

const step = { learningRate: 1e-3, betas: [0.9, 0.95], epsilon: 1e-5, weightDecay: 0.1, maxGradientNorm: 1 } as const;

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

/** Relative to the largest entry of each tensor, the worst over all tensors. */
function stateDifference(a: PolicyTrainingState, b: PolicyTrainingState, kind: (name: string) => boolean): number {
  expect([...a.tensors.keys()]).toEqual([...b.tensors.keys()]);
  let worst = 0;
  for (const [name, { data }] of a.tensors) {
    if (!kind(name)) continue;
    const size = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    worst = Math.max(worst, largestDifference(data, b.tensors.get(name)!.data) / size);
  }
  return worst;
}

describe('before the first update', () => {
  const kinds = [
    ['all weights', {}, {}],
    ['an adapter', { lora }, {}],
    ['a temperature', { temperature: 0.7 }, {}],
    ['top-p and top-k', { limits: { topP: 0.9, topK: 12 } }, {}],
    ['a history that is stripped', {}, { history: 'strip' as const }],
    ['several samples a turn', {}, { samplesPerTurn: 2, continuation: 'best' as const }],
  ] as const;
  it.each(kinds)('with %s the ratio is 1, the KL is 0, and generation agrees with scoring', async (_kind, options, environment) => {
    const policy = open(options);
    const { dialogues, report } = await experienceOf(policy, environment);
    expect(dialogues.length).toBe(8);
    expect(report.maxLogProbDifference).toBeGreaterThan(0); // two computations, not one compared with itself
    expect(report.maxLogProbDifference).toBeLessThan(1e-4);
    expect(Math.abs(report.kl)).toBeLessThan(1e-6);

    const batch = dialogues.flat();
    const before = await policy.accumulatePPO(batch, lossOf(batch));
    await policy.clearGradients();
    expect(before.ratioMin).toBeGreaterThan(1 - 1e-5);
    expect(before.ratioMax).toBeLessThan(1 + 1e-5);
    expect(Math.abs(before.klK1)).toBeLessThan(1e-6);
    expect(Math.abs(before.klK3)).toBeLessThan(1e-6);
    expect(before.clipFraction).toBe(0);
  });

  it('the trainer itself sees a ratio of 1 and a KL of 0, and after it neither', async () => {
    const metrics: PPOMetrics[] = [];
    const trainer = new PPOTrainer({
      policy: open(),
      environment: microEnvironment(),
      personas,
      dialogues: 8,
      epochs: 1,
      minibatches: 1,
      valueWarmup: 0,
      learningRate: 3e-3,
      warmup: 0,
    });
    trainer.on('iteration', (event) => metrics.push(event.metrics));
    await trainer.train({ iterations: 2 });
    const [first, second] = metrics as [PPOMetrics, PPOMetrics];
    for (const { ratioMin, ratioMax, approximateKl, clipFraction, maxLogProbDifference, maxAge } of metrics) {
      expect([ratioMin, ratioMax].map((ratio) => Math.abs(ratio! - 1) < 1e-5)).toEqual([true, true]);
      expect(approximateKl).toBeLessThan(1e-6);
      expect(clipFraction).toBe(0);
      expect(maxLogProbDifference).toBeLessThan(1e-4);
      expect(maxAge).toBe(0);
    }
    expect(Math.abs(first.kl)).toBeLessThan(1e-6);
    expect(Math.abs(second.kl)).toBeGreaterThan(1e-4);
    expect([first.version, second.version]).toEqual([1, 2]);
  });
});

describe('layouts and micro-batches', () => {
  const variants = [
    { layout: 'right', microBatchTokens: 4096 },
    { layout: 'right', microBatchTokens: 1 },
    { layout: 'right', microBatchTokens: 700 },
    { layout: 'left', microBatchTokens: 4096 },
    { layout: 'left', microBatchTokens: 700 },
    { layout: 'packed', microBatchTokens: 4096 },
    { layout: 'packed', microBatchTokens: 700 },
  ] as const;

  it('left-padded, right-padded and packed batches give the same log-probabilities, values and entropies', async () => {
    const { dialogues } = await experienceOf(open(), { history: 'strip' });
    const batch = dialogues.flat();
    expect(new Set(batch.map(({ tokens }) => tokens.length)).size).toBeGreaterThan(3); // there is something to pad
    // a value head of zeros would agree with anything
    const headed = new Map(weights).set('value_head.weight', {
      shape: weights.get('value_head.weight')!.shape,
      data: weights.get('value_head.weight')!.data.map((_, i) => Math.sin(i)),
    });
    const [first, ...others] = await Promise.all(variants.map((variant) => open({ ...variant, weights: headed }).score(batch)));
    for (const other of others) {
      for (const [index, { logProbs, values, entropies }] of other.entries()) {
        expect(largestDifference(logProbs, first![index]!.logProbs)).toBeLessThan(2e-5);
        expect(largestDifference(values, first![index]!.values)).toBeLessThan(2e-5);
        expect(largestDifference(entropies, first![index]!.entropies)).toBeLessThan(2e-5);
      }
    }
    expect(first!.some(({ values }) => values.some((value) => Math.abs(value) > 0.1))).toBe(true);
  });

  it.each([
    ['all weights', {}],
    ['an adapter', { lora }],
  ])('neither changes gradients, moments or weights over three steps of %s', async (_kind, options) => {
    const { dialogues } = await experienceOf(open(options));
    const minibatches = [dialogues.slice(0, 3).flat(), dialogues.slice(3, 5).flat(), dialogues.slice(5).flat()];
    const run = async (variant: (typeof variants)[number]) => {
      const policy = open({ ...options, ...variant });
      const after = [];
      for (const batch of minibatches) {
        const report = await policy.accumulatePPO(batch, lossOf(batch));
        const { gradientNorm } = await policy.update(step);
        after.push({ report, gradientNorm, state: await policy.exportState() });
      }
      return after;
    };
    const plain = await run(variants[0]);
    expect(plain[0]!.gradientNorm).toBeGreaterThan(1e-3);
    for (const variant of variants.slice(1)) {
      for (const [index, { report, gradientNorm, state }] of (await run(variant)).entries()) {
        const expected = plain[index]!;
        const where = `${JSON.stringify(variant)}, step ${index + 1}`;
        expect(Math.abs(report.loss - expected.report.loss), where).toBeLessThan(1e-5);
        expect(Math.abs(gradientNorm / expected.gradientNorm - 1), where).toBeLessThan(1e-4);
        // after the first step a mean is the clipped gradient itself, times 1 − β₁
        expect(
          stateDifference(state, expected.state, (name) => name.startsWith('mean ')),
          where,
        ).toBeLessThan(1e-3);
        expect(
          stateDifference(state, expected.state, (name) => name.startsWith('variance ')),
          where,
        ).toBeLessThan(1e-3);
        expect(
          stateDifference(state, expected.state, (name) => !/^(mean|variance) /.test(name)),
          where,
        ).toBeLessThan(1e-3);
      }
    }
  });
});

describe('a policy with an adapter', () => {
  it('has the base as its reference, which does not move while the adapter does', async () => {
    const policy = open({ lora });
    const base = open();
    const { dialogues } = await experienceOf(policy);
    const batch = dialogues.flat();
    const baseScores = await base.score(batch);
    const before = await policy.readWeights();

    await policy.accumulatePPO(batch, lossOf(batch));
    await policy.update({ ...step, learningRate: 1e-2 });
    await policy.accumulatePPO(batch, lossOf(batch));
    await policy.update({ ...step, learningRate: 1e-2 });

    const after = await policy.readWeights();
    for (const [name, { data }] of before) {
      const moved = largestDifference(data, after.get(name)!.data) > 0;
      expect(moved, name).toBe(name.includes('lora_') || name.startsWith('value_head.'));
    }
    const [references, current] = [await policy.score(batch, { reference: true }), await policy.score(batch)];
    let divergence = 0;
    for (const [index, { logProbs }] of references.entries()) {
      expect(largestDifference(logProbs, baseScores[index]!.logProbs)).toBeLessThan(1e-5);
      divergence = Math.max(divergence, largestDifference(logProbs, current[index]!.logProbs));
    }
    expect(divergence).toBeGreaterThan(1e-2);
    const { klK3 } = await policy.accumulatePPO(batch, lossOf(batch));
    expect(klK3).toBeGreaterThan(1e-4);
  });

  it('trains with it: KL 0 at first, above 0 after, no second copy of the base in a checkpoint', async () => {
    const policy = open({ lora });
    const kls: number[] = [];
    const trainer = new PPOTrainer({
      policy,
      environment: microEnvironment(),
      personas,
      dialogues: 8,
      minibatches: 2,
      valueWarmup: 0,
      learningRate: 1e-2,
      kl: 'k3',
      stopKl: Number.POSITIVE_INFINITY,
    });
    trainer.on('iteration', ({ metrics }) => kls.push(metrics.kl));
    await trainer.train({ iterations: 2 });
    expect(Math.abs(kls[0]!)).toBeLessThan(1e-6);
    expect(Math.abs(kls[1]!)).toBeGreaterThan(1e-3);
    const names = [...(await policy.exportState()).tensors.keys()];
    expect(names.every((name) => name.includes('lora_') || name.includes('value_head.'))).toBe(true);
  });

  it('is the adapter as it was when setReference() fixed it, and what a checkpoint keeps of it', async () => {
    const policy = open({ lora });
    const { dialogues } = await experienceOf(policy);
    const batch = dialogues.flat();
    const learn = async () => {
      await policy.accumulatePPO(batch, lossOf(batch));
      await policy.update({ ...step, learningRate: 1e-2 });
    };
    await learn();
    const fixed = await policy.score(batch);
    await policy.setReference();
    await learn();
    const isFixed = async (scored: LocalPolicy) => {
      for (const [index, { logProbs }] of (await scored.score(batch, { reference: true })).entries()) {
        expect(largestDifference(logProbs, fixed[index]!.logProbs)).toBeLessThan(1e-5);
      }
    };
    await isFixed(policy);
    const [current] = await policy.score(batch);
    expect(largestDifference(current!.logProbs, fixed[0]!.logProbs)).toBeGreaterThan(1e-2);
    const resumed = open({ lora });
    await resumed.importState(await policy.exportState());
    await isFixed(resumed);
  });

  it('is a loaded adapter after setReference(): nothing has moved yet', async () => {
    const trained = open({ lora });
    const { dialogues } = await experienceOf(trained);
    const batch = dialogues.flat();
    await trained.accumulatePPO(batch, lossOf(batch));
    await trained.update({ ...step, learningRate: 1e-2 });
    const policy = open({ lora, weights: await trained.readWeights() });
    await policy.setReference();
    const [references, current] = [await policy.score(batch, { reference: true }), await policy.score(batch)];
    for (const [index, { logProbs }] of references.entries()) expect(logProbs).toEqual(current[index]!.logProbs);
  });
});

describe('the reference of a policy that trains all weights', () => {
  it('is what setReference() fixed, whatever the policy becomes', async () => {
    const policy = open();
    const { dialogues } = await experienceOf(policy);
    const batch = dialogues.flat();
    await policy.setReference();
    const fixed = await policy.score(batch, { reference: true });
    await policy.accumulatePPO(batch, lossOf(batch));
    await policy.update({ ...step, learningRate: 1e-2 });
    const [references, current] = [await policy.score(batch, { reference: true }), await policy.score(batch)];
    for (const [index, { logProbs }] of references.entries()) expect(logProbs).toEqual(fixed[index]!.logProbs);
    expect(current.some(({ logProbs }, index) => largestDifference(logProbs, fixed[index]!.logProbs) > 1e-2)).toBe(true);
  });

  it('is not left where the first weights were when nobody fixes it', async () => {
    // PPO without setReference() must still measure the KL against the policy that it began with
    const policy = open();
    const kls: number[] = [];
    const trainer = new PPOTrainer({
      policy,
      environment: microEnvironment(),
      personas,
      dialogues: 8,
      minibatches: 2,
      valueWarmup: 0,
      learningRate: 3e-3,
      stopKl: Number.POSITIVE_INFINITY,
    });
    trainer.on('iteration', ({ metrics }) => kls.push(metrics.kl));
    await trainer.train({ iterations: 2 });
    expect(Math.abs(kls[0]!)).toBeLessThan(1e-6);
    expect(Math.abs(kls[1]!)).toBeGreaterThan(1e-3);
  });
});

describe('sampling', () => {
  const state = (dialogueId: string, messages: { role: 'system' | 'user' | 'assistant'; content: string; tokens?: number[] }[]) => ({
    dialogueId,
    messages,
    seed: 9,
  });
  const opening = [
    { role: 'system' as const, content: 'Get to know the user.' },
    { role: 'user' as const, content: 'Hello' },
  ];

  async function moveWeights(policy: LocalPolicy): Promise<void> {
    await new SFTTrainer({
      policy,
      examples: [{ messages: [...opening, { role: 'assistant', content: 'Something else altogether.' }] }],
      epochs: 3,
      learningRate: 1e-2,
    }).train();
  }

  it('uses the newest weights, in the middle of a dialogue too, and says which those were', async () => {
    const policy = open();
    const [first] = await policy.act([state('a', opening)]);
    expect(first!.tokens!.version).toBe(0);
    await moveWeights(policy);

    const next = [
      ...opening,
      { role: 'assistant' as const, content: first!.text, tokens: Array.from(first!.tokens!.completion) },
      { role: 'user' as const, content: 'I love golf.' },
    ];
    const [second] = await policy.act([state('a', next)]);
    const [again] = await policy.act([state('b', opening)]);
    expect(second!.tokens!.version).toBe(3);
    expect(again!.tokens!.version).toBe(3);
    for (const { prompt, completion, logProbs } of [second!.tokens!, again!.tokens!]) {
      const tokens = Int32Array.of(...prompt, ...completion);
      const actionMask = Uint8Array.from(tokens, (_, t) => Number(t >= prompt.length));
      const [scored] = await policy.score([{ tokens, actionMask }]);
      expect(largestDifference(scored!.logProbs.subarray(prompt.length), logProbs)).toBeLessThan(1e-4);
    }
    // and the new weights are other ones: the first action has become less likely
    const { prompt, completion, logProbs } = first!.tokens!;
    const tokens = Int32Array.of(...prompt, ...completion);
    const [rescored] = await policy.score([{ tokens, actionMask: Uint8Array.from(tokens, (_, t) => Number(t >= prompt.length)) }]);
    expect(largestDifference(rescored!.logProbs.subarray(prompt.length), logProbs)).toBeGreaterThan(0.1);
  });

  it('gives the same action for the same state and seed, alone or among others', async () => {
    const policy = open();
    const states = Array.from({ length: 5 }, (_, i) => ({
      ...state(`d${i}`, [opening[0]!, { role: 'user', content: `Hello ${'there '.repeat(3 * i)}` }]),
      seed: i,
    }));
    const together = await policy.act(states);
    policy.release(states.map(({ dialogueId }) => dialogueId));
    for (const [index, each] of states.entries()) {
      const [alone] = await policy.act([each]);
      expect(alone!.text).toBe(together[index]!.text);
      expect(largestDifference(alone!.tokens!.logProbs, together[index]!.tokens!.logProbs)).toBeLessThan(1e-4);
      policy.release([each.dialogueId]);
    }
  });

  it('two runs of one seed agree in every token', async () => {
    const roll = async () => microEnvironment().rollout({ policy: open(), personas: personas.slice(0, 8), seed: 4 });
    const [a, b] = [await roll(), await roll()];
    const tokens = (episodes: readonly Episode[]) => episodes.flatMap(({ turns }) => turns.map(({ action }) => action.tokens!));
    expect(tokens(a)).toEqual(tokens(b));
    expect(a.map(({ turns }) => turns.map(({ reward }) => reward.total))).toEqual(
      b.map(({ turns }) => turns.map(({ reward }) => reward.total)),
    );
  });
});
