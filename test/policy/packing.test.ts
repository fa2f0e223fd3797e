import { afterAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import { type BatchLayout, LocalPolicy, type PPOSequence, planBatches } from '../../src/policy/index';
import { Random } from '../../src/random';
import { parseModelConfig, Tokenizer, trainTokenizer } from '../../src/transformer/index';

const files = trainTokenizer({ texts: ['a word'], vocabularySize: 264 });
const tokenizer = Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig);
const config = parseModelConfig({
  model_type: 'qwen2',
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 264,
  max_position_embeddings: 512,
});

/** A dialogue of so many tokens, of which the policy wrote about every other stretch. */
function dialogue(length: number, dice: Random): PPOSequence {
  const column = (deviation: number, mean = 0) => Float32Array.from({ length }, () => mean + deviation * dice.normal());
  return {
    tokens: Int32Array.from({ length }, () => dice.integer(264)),
    actionMask: Uint8Array.from({ length }, (_, t) => Number(t > 3 && Math.floor(t / 7) % 2)),
    oldLogProbs: column(0.1, -Math.log(264)),
    referenceLogProbs: column(0.1, -Math.log(264)),
    oldValues: column(0.3),
    advantages: column(1),
    returns: column(1),
  };
}

const dialogues = (lengths: readonly number[]) => lengths.map((length, i) => dialogue(length, new Random(5).split(i)));

describe('sequences in rows', () => {
  /** Lengths as minibatches have them: alike, and not; short, and long. */
  const minibatches: Readonly<Record<string, (dice: Random) => number>> = {
    'from 60 to 450 tokens': (dice) => 60 + dice.integer(390),
    'about 400 tokens': (dice) => 380 + dice.integer(60),
    'short ones': (dice) => 20 + dice.integer(100),
    'with a long tail': (dice) => Math.min(2048, Math.round(Math.exp(6.3 + 0.4 * dice.normal()))),
  };

  it.each(Object.entries(minibatches))('%s are packed with less than a tenth of padding', (_, draw) => {
    for (const [count, most] of [
      [8, 2560],
      [16, 4096],
      [64, 4096],
    ] as const) {
      let [real, computed] = [0, 0];
      for (let seed = 0; seed < 20; seed++) {
        const dice = new Random(seed);
        const sequences = Array.from({ length: count }, () => {
          const length = draw(dice);
          return { tokens: new Int32Array(length), actionMask: new Uint8Array(length) };
        });
        for (const batch of planBatches(sequences, 'packed', most)) {
          computed += batch.rows * batch.length;
          expect(batch.rows * batch.length).toBeLessThanOrEqual(most);
        }
        real += sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
      }
      expect(1 - real / computed).toBeLessThan(0.1);
    }
  });

  it.each<BatchLayout>(['right', 'left', 'packed'])('%s: each stands in one place, and none over another', (layout) => {
    const sequences = dialogues([5, 90, 64, 300, 17, 17, 40, 128, 129, 3]);
    const seen = new Map<number, number>();
    for (const batch of planBatches(sequences, layout, 600)) {
      const taken = new Uint8Array(batch.rows * batch.length);
      for (const { sequence, row, offset } of batch.placements) {
        seen.set(sequence, (seen.get(sequence) ?? 0) + 1);
        const { tokens } = sequences[sequence]!;
        expect(offset + tokens.length).toBeLessThanOrEqual(batch.length);
        const start = row * batch.length + offset;
        expect([...batch.tokens.subarray(start, start + tokens.length)]).toEqual([...tokens]);
        for (let t = start; t < start + tokens.length; t++) {
          expect(taken[t]).toBe(0);
          taken[t] = 1;
        }
      }
    }
    expect([...seen].sort(([a], [b]) => a - b)).toEqual(sequences.map((_, i) => [i, 1]));
  });

  it('need no mask where nothing can be packed', () => {
    const batches = planBatches(dialogues([300, 290, 310]), 'packed', 4096);
    expect(batches.map(({ segments }) => segments)).toEqual([undefined]);
  });

  it('longer than a batch may be still run, alone', () => {
    expect(planBatches(dialogues([300]), 'packed', 100).map(({ rows }) => rows)).toEqual([1]);
  });
});

describe('training on packed rows', () => {
  const sequences = dialogues([31, 118, 64, 9, 45, 80, 101, 12, 97]);
  const policies: LocalPolicy[] = [];
  afterAll(() => Promise.all(policies.map((policy) => policy.dispose())));

  /** Three optimiser steps of PPO, then what the policy has become. */
  async function trained(layout: BatchLayout, microBatchTokens: number, lora?: { rank: number }) {
    const options = { seed: 2, layout, microBatchTokens, lora };
    const policy = new LocalPolicy(cpuDevice({ threads: 1 }), { config, tokenizer }, options);
    policies.push(policy);
    const normalizer = sequences.reduce((sum, { actionMask }) => sum + actionMask.reduce((a, b) => a + b, 0), 0);
    const losses: number[] = [];
    let padding = 0;
    for (let step = 0; step < 3; step++) {
      const report = await policy.accumulatePPO(sequences, {
        clip: 0.2,
        valueClip: 0.5,
        valueCoefficient: 0.5,
        entropyCoefficient: 0.01,
        klLossCoefficient: 0.05,
        klLoss: 'k3',
        normalizer,
      });
      losses.push(report.loss);
      padding = report.padding;
      await policy.update({ learningRate: 0.003, betas: [0.9, 0.95], epsilon: 1e-5, weightDecay: 0.01, maxGradientNorm: 1 });
    }
    return { losses, padding, weights: await policy.readWeights(), scores: await policy.score(sequences) };
  }

  it.each([
    ['all weights', undefined],
    ['an adapter', { rank: 4 }],
  ])('moves %s as training on one sequence a row does, over three optimiser steps', async (_, lora) => {
    const plain = await trained('right', 128, lora);
    const packed = await trained('packed', 1024, lora);
    expect(packed.padding).toBeLessThan(0.1);
    expect(plain.padding).toBeGreaterThan(0.2);
    packed.losses.forEach((loss, step) => {
      expect(Math.abs(loss - plain.losses[step]!)).toBeLessThan(1e-5);
    });
    expect(packed.losses[2]).toBeLessThan(packed.losses[0]!);
    for (const [name, { data }] of packed.weights) {
      const expected = plain.weights.get(name)!.data;
      expect(Math.max(...data.map((value, i) => Math.abs(value - expected[i]!))), name).toBeLessThan(5e-5);
    }
    packed.scores.forEach(({ logProbs, values }, i) => {
      for (const [found, expected] of [
        [logProbs, plain.scores[i]!.logProbs],
        [values, plain.scores[i]!.values],
      ] as const)
        expect(Math.max(...found.map((value, t) => Math.abs(value - expected[t]!)))).toBeLessThan(1e-4);
    });
  });
});
