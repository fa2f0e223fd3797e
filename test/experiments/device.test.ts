import { describe, expect, it } from 'vitest';
import { openDevice } from '../../src/experiments/device';
import { openWebGpu } from '../device';

/** Whether a software adapter is all that WebGPU finds. */
const isSoftware = await openWebGpu().then(
  (device) => device.dispose().then(() => device.adapter.software),
  () => false,
);

describe.skipIf(!isSoftware)('a GPU that is made of software', () => {
  it.each([
    ['tiny', /--size micro shows the whole of it, --device cpu is fast/],
    ['micro', /than the CPU device: --device cpu is fast/],
    [undefined, /than the CPU device: --device cpu is fast/],
  ] as const)('is told of, with the advice that there is to a policy of size %s', async (size, advice) => {
    const warnings: string[] = [];
    const device = await openDevice({ device: 'webgpu', size, onWarning: (message) => warnings.push(message) });
    await device.dispose();
    expect(warnings).toEqual([expect.stringMatching(advice)]);
  });
});
