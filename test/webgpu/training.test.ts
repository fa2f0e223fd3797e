import { beforeAll, describe, expect, it } from 'vitest';
import { create } from 'webgpu';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device } from '../../src/device/index';
import { WebGpuDevice } from '../../src/device/webgpu/webgpu-device';
import { RlpaError } from '../../src/errors';
import { LocalPolicy, type PolicyAction } from '../../src/policy/index';
import { chunkLength } from '../../src/policy/program-sizes';
import { type PPOMetrics, PPOTrainer } from '../../src/training/index';
import { openWebGpu } from '../device';
import {
  microConfig,
  microEnvironment,
  microPolicy,
  microTokenizer,
  personas,
  type Weights,
  warmWeights,
} from '../integration/micro-policy';
import { MemoryCheckpoints, MemoryLog, withoutTimings } from '../training/memory-record';

// held for as long as its devices are there
const gpu = create(['enable-dawn-features=disable_workgroup_init']);
let weights: Weights;
beforeAll(async () => {
  weights = await warmWeights();
});

function run(device: Device, checkpoints = new MemoryCheckpoints()) {
  const policy = microPolicy({ weights, device, maxNewTokens: 32 });
  const metricsLog = new MemoryLog();
  const trainer = new PPOTrainer({
    policy,
    environment: microEnvironment({ maxTurns: 2 }),
    personas,
    dialogues: 4,
    minibatches: 2,
    epochs: 1,
    learningRate: 3e-3,
    valueWarmup: 0,
    stopKl: Number.POSITIVE_INFINITY,
    checkpoints,
    metricsLog,
  });
  return { policy, trainer, checkpoints, metricsOf: () => metricsLog.records.map(({ metrics }) => metrics as PPOMetrics) };
}

/** Every token that a policy samples from now on. */
function recordTokens(policy: LocalPolicy): number[] {
  const tokens: number[] = [];
  const act = policy.act.bind(policy);
  policy.act = async (...args): Promise<PolicyAction[]> => {
    const actions = await act(...args);
    for (const action of actions) tokens.push(...action.tokens!.completion);
    return actions;
  };
  return tokens;
}

describe('PPO on webgpu', () => {
  it('samples the same tokens from one seed as on the CPU, and reports the same metrics over two iterations', {
    timeout: 300_000,
  }, async () => {
    const found = await Promise.all(
      [async () => cpuDevice({ threads: 2 }), openWebGpu].map(async (open) => {
        const { policy, trainer, metricsOf } = run(await open());
        const tokens = recordTokens(policy);
        await trainer.train({ iterations: 2 });
        await policy.dispose();
        return { tokens, metrics: metricsOf() };
      }),
    );
    const [cpu, gpu] = found as [(typeof found)[0], (typeof found)[0]];
    expect(cpu.tokens.length).toBeGreaterThan(100);
    expect(gpu.tokens).toEqual(cpu.tokens);
    expect(cpu.metrics.length).toBe(2);
    for (const [iteration, metrics] of cpu.metrics.entries()) {
      for (const [name, value] of Object.entries(withoutTimings(metrics))) {
        if (typeof value !== 'number') continue;
        const other = gpu.metrics[iteration]![name as keyof PPOMetrics] as number;
        expect(Math.abs(other - value), `${name} of iteration ${iteration + 1}: ${value} and ${other}`).toBeLessThanOrEqual(
          1e-3 * Math.max(1, Math.abs(value)),
        );
      }
    }
    // and the weights did move
    expect(Math.abs(cpu.metrics[1]!.kl)).toBeGreaterThan(1e-5);
  });

  it('compiles nothing, binds nothing and takes no memory once it has seen its shapes, and takes one submit a step', {
    timeout: 300_000,
  }, async () => {
    const device = await openWebGpu();
    const config = microConfig({ layers: 1, hiddenSize: 16, intermediateSize: 16, headSize: 4 });
    const policy = new LocalPolicy(device, { config, tokenizer: microTokenizer() });
    const prompt = policy.encodePrompt([{ role: 'user', content: 'Hi!' }]);
    const tokens = Int32Array.of(...prompt, ...policy.tokenizer.encode('I like hiking.'));
    const sequence = {
      tokens,
      actionMask: Uint8Array.from(tokens, (_, t) => Number(t >= prompt.length)),
      ...Object.fromEntries(
        ['oldLogProbs', 'referenceLogProbs', 'oldValues', 'advantages', 'returns'].map((name) => [name, new Float32Array(tokens.length)]),
      ),
    } as Parameters<LocalPolicy['accumulatePPO']>[0][number];
    const loss = {
      clip: 0.2,
      valueClip: 1,
      valueCoefficient: 0.5,
      entropyCoefficient: 0,
      klLossCoefficient: 0,
      klLoss: 'k3',
      normalizer: 10,
    } as const;
    const step = {
      learningRate: 1e-4,
      valueLearningRate: 1e-4,
      weightDecay: 0,
      betas: [0.9, 0.95] as const,
      epsilon: 1e-8,
      maxGradientNorm: 1,
    };
    const iteration = async (seed: number) => {
      await policy.sample([{ owner: 'a', prompt, seed }], { maxNewTokens: 3 });
      policy.release(['a']);
      await policy.accumulatePPO([sequence], loss);
      await policy.update(step);
    };
    for (let i = 0; i < 2; i++) await iteration(i);
    const warm = device.counters;
    for (let i = 2; i < 102; i++) await iteration(i);
    const { pipelines, bindGroups, buffers, bytes } = device.counters;
    expect({ pipelines, bindGroups }).toEqual({ pipelines: warm.pipelines, bindGroups: warm.bindGroups });
    // but a copy to be read of what each of the three tokens came to, if they were sampled at a time that often
    expect(buffers - warm.buffers).toBeLessThanOrEqual(2);
    expect(bytes - warm.bytes).toBeLessThanOrEqual(2 * 48);

    const before = device.counters.submits;
    const [sample] = await policy.sample([{ owner: 'b', prompt, seed: 1 }], { maxNewTokens: 20 });
    const decoding = sample!.completion.length - 1;
    const between = device.counters.submits;
    expect(decoding).toBeGreaterThan(2);
    let chunks = 0;
    for (let left = prompt.length; left > 0; left -= chunkLength(left)) chunks++;
    // one for each chunk that was read at first, one for each token that was fed, and one for each cache that was cleared for the dialogue
    expect(between - before).toBe(chunks + decoding + 2 * policy.config.layers);
    await policy.accumulatePPO([sequence], loss);
    expect(device.counters.submits - between).toBe(1);
    await policy.dispose();
  });

  it('ends with a clear error when the GPU is lost, and goes on from its checkpoint on another device', { timeout: 300_000 }, async () => {
    const whole = run(cpuDevice({ threads: 2 }));
    await whole.trainer.train({ iterations: 2 });
    await whole.policy.dispose();

    const gpuDevice = await (await gpu.requestAdapter())!.requestDevice();
    const lost = run(new WebGpuDevice(gpuDevice));
    lost.trainer.on('checkpoint', ({ iteration }) => {
      if (iteration === 1) gpuDevice.destroy();
    });
    const error = await lost.trainer.train({ iterations: 2 }).then(
      () => undefined,
      (reason: unknown) => reason as RlpaError,
    );
    expect(RlpaError.isInstance(error) && error.code).toBe('device-failed');
    expect(error!.message).toContain('last checkpoint');
    expect(lost.checkpoints.saved.at(-1)!.position).toBe(1);

    const resumed = run(cpuDevice({ threads: 2 }), lost.checkpoints);
    await resumed.trainer.train({ iterations: 2, resume: true });
    const [second] = resumed.metricsOf();
    const [, wanted] = whole.metricsOf();
    for (const name of ['reward', 'kl'] as const) expect(Math.abs(second![name]! - wanted![name]!), name).toBeLessThan(1e-3);
    await resumed.policy.dispose();
  });
});
