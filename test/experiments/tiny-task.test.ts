import { evaluate, PPOTrainer } from 'rlpa';
import { cpuDevice } from 'rlpa/node';
import { type TinySize, tinyTask } from 'rlpa/tiny';
import { describe, expect, it } from 'vitest';
import { runExperiment } from '../../src/experiments/index';

const seed = 5;
const iterations = 2;

describe('tinyTask', () => {
  it('is what an experiment on generated people does, number for number', async () => {
    const task = tinyTask({ size: 'micro', seed });
    const phases = new Set<string>();
    const policy = await task.warmStart({ onProgress: ({ phase }) => phases.add(phase) });
    try {
      const measure = () => evaluate({ ...task.measuring, policy, personas: task.heldOut });
      const before = await measure();
      const trainer = new PPOTrainer({ ...task.ppo, policy, environment: task.environment, personas: task.training, seed });
      await trainer.train({ iterations });
      const after = await measure();
      const expected = await runExperiment({ people: 'generated', size: 'micro', seed, reward: 'both', iterations });
      expect({ before, after }).toEqual({ before: expected.before, after: expected.after });
      expect(after).not.toEqual(before);
    } finally {
      await policy.dispose();
    }
    expect([...phases]).toEqual(['demonstrations', 'warm-start']);
  });

  it.each(['demonstrations', 'warm-start'])('disposes of the device when the warm start is given up (%s)', async (until) => {
    const device = cpuDevice();
    const controller = new AbortController();
    const started = tinyTask({ size: 'micro', seed }).warmStart({
      device,
      signal: controller.signal,
      onProgress: ({ phase }) => phase === until && controller.abort(),
    });
    await expect(started).rejects.toMatchObject({ code: 'aborted' });
    await expect(device.read(device.create([1], 'f32'))).rejects.toMatchObject({ code: 'device-failed' });
  });

  it('refuses a size that there is not, and a seed that is none', () => {
    expect(() => tinyTask({ size: 'huge' as TinySize })).toThrow("tinyTask, option 'size': expected one of tiny, micro, found 'huge'.");
    expect(() => tinyTask({ seed: 0.5 })).toThrow("tinyTask, option 'seed': expected a whole number, found 0.5.");
  });

  it('refuses a device that there is not', async () => {
    const started = tinyTask({ size: 'micro' }).warmStart({ device: 'gpu' as 'webgpu' });
    await expect(started).rejects.toMatchObject({ code: 'invalid-option', message: expect.stringContaining("'webgpu'") });
  });
});
