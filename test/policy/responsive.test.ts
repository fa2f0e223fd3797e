import { afterAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device } from '../../src/device/index';
import { LocalPolicy, type PolicyTrainingState, type PPOLossOptions, type PPOSequence } from '../../src/policy/index';
import { ppoGraph } from '../../src/policy/programs';
import { loraConfig, loraShapes, parseModelConfig, Tokenizer, trainTokenizer } from '../../src/transformer/index';

const files = trainTokenizer({ texts: ['a word'], vocabularySize: 300 });
const tokenizer = Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig);
const config = parseModelConfig({
  model_type: 'qwen2',
  hidden_size: 192,
  intermediate_size: 512,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  vocab_size: 1024,
  max_position_embeddings: 512,
});
const length = 128;
const rows = 16;
const column = (of: (t: number) => number) => Float32Array.from({ length }, (_, t) => of(t));
const sequences = Array.from(
  { length: rows },
  (_, row): PPOSequence => ({
    tokens: Int32Array.from({ length }, (_, t) => (row * 31 + t * 17) % 1024),
    actionMask: Uint8Array.from({ length }, (_, t) => Number(t > 0)),
    oldLogProbs: column(() => -7),
    referenceLogProbs: column(() => -7),
    oldValues: column(() => 0),
    advantages: column(Math.sin),
    returns: column(Math.cos),
  }),
);
const loss: PPOLossOptions = {
  clip: 0.2,
  valueClip: 1,
  valueCoefficient: 0.5,
  entropyCoefficient: 0.01,
  klLossCoefficient: 0.01,
  klLoss: 'k3',
  normalizer: rows * (length - 1),
};

interface Told {
  onCompile?: () => void;
  onRun?: () => void;
  runs: number;
}

/** A device that says when a program is compiled and begins to run. */
function watched(told: Told): Device {
  const device = cpuDevice({ threads: 1 });
  const compile = device.compile.bind(device);
  device.compile = (graph) => {
    told.onCompile?.();
    return compile(graph);
  };
  const runSeries = device.runSeries.bind(device);
  device.runSeries = (program, options) => {
    told.runs++;
    told.onRun?.();
    return runSeries(program, options);
  };
  return device;
}

/** One weight of each tensor, and the sum of all. */
const weightsOf = ({ tensors }: PolicyTrainingState) =>
  [...tensors]
    .filter(([name]) => !/^(mean|variance) /.test(name))
    .map(([name, { data }]) => [name, data[0], data.reduce((a, b) => a + b, 0)]);

describe('while a policy computes', () => {
  const told: Told = { runs: 0 };
  const policy = new LocalPolicy(watched(told), { config, tokenizer }, { microBatchTokens: rows * length, layout: 'right' });
  const small = new LocalPolicy(watched(told), { config, tokenizer }, { microBatchTokens: 4 * length, layout: 'right' });
  afterAll(() => Promise.all([policy.dispose(), small.dispose()]));

  it('timers of the caller fire in the middle of a single step', async () => {
    await policy.accumulatePPO(sequences, loss); // compiles
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    told.runs = 0;
    await policy.accumulatePPO(sequences, loss);
    clearInterval(timer);
    expect(told.runs).toBe(1);
    expect(ticks).toBeGreaterThan(3);
  });

  it('timers fire while a step is translated and compiled, too', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await small.score(sequences);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(3);
  });

  it('timers fire while a step of many layers is differentiated', async () => {
    const deep = { ...config, layers: 96 };
    const lora = loraConfig({ rank: 4 });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await ppoGraph(
      { config: deep, lora, checkpointing: true },
      { rows, length, actions: 256, segmented: true },
      'k3',
      loraShapes(deep, lora),
    );
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(3);
  });

  it.each([
    // of four micro-batches the first is under way
    ['in the middle of a call', 4 * length, 'onRun', 1],
    ['in the only step of a call', rows * length, 'onRun', 1],
    ['while the step is compiled', rows * length, 'onCompile', 0],
  ] as const)('an abort %s rejects after at most that step, and leaves nothing behind', async (_, microBatchTokens, moment, runs) => {
    const open = (told: Told) => new LocalPolicy(watched(told), { config, tokenizer }, { microBatchTokens, layout: 'right', seed: 3 });
    const abort = new AbortController();
    const seen: Told = { runs: 0, [moment]: () => abort.abort() };
    const [aborted, undisturbed] = [open(seen), open({ runs: 0 })];
    const before = await aborted.exportState();
    await expect(aborted.accumulatePPO(sequences, loss, abort.signal)).rejects.toMatchObject({ code: 'aborted' });
    expect(seen.runs).toBe(runs);
    expect(weightsOf(await aborted.exportState())).toEqual(weightsOf(before));

    await aborted.clearGradients();
    const after = await Promise.all(
      [aborted, undisturbed].map(async (policy) => {
        await policy.accumulatePPO(sequences, loss);
        await policy.update({ learningRate: 0.01, betas: [0.9, 0.95], epsilon: 1e-5, weightDecay: 0, maxGradientNorm: 1 });
        return weightsOf(await policy.exportState());
      }),
    );
    expect(after[0]).toEqual(after[1]);
    expect(after[0]).not.toEqual(weightsOf(before));
    await Promise.all([aborted.dispose(), undisturbed.dispose()]);
  });

  it('an abort ends sampling within a token', async () => {
    const abort = new AbortController();
    let tokens = 0;
    const request = { owner: 'a', prompt: Int32Array.of(1, 2, 3), seed: 1 };
    const onToken = () => {
      if (++tokens === 3) abort.abort();
    };
    await expect(policy.sample([request], { maxNewTokens: 200, signal: abort.signal, onToken })).rejects.toMatchObject({ code: 'aborted' });
    expect(tokens).toBe(3);
  });
});
