import { describe, expect, it } from 'vitest';
import type { PPOLossOptions, PPOSequence } from '../../src/policy/trainable-policy';
import { Random } from '../../src/random';
import { TabularPolicy, vocabulary } from './tabular-policy';

describe('the test policy', () => {
  const random = new Random(3);
  // Multiples of the step, so that float32 holds the shifted logits exactly.
  const step = 2 ** -10;
  const table = Array.from({ length: vocabulary ** 3 }, () => Math.round(random.normal() / step) * step);
  const policyWith = (change: (policy: TabularPolicy) => void = () => {}) => {
    const policy = new TabularPolicy({ temperature: 0.7 });
    policy.logits.set(table);
    policy.valueTable.set(table.slice(0, vocabulary ** 2));
    change(policy);
    return policy;
  };
  const sequence: PPOSequence = {
    tokens: Int32Array.from([1, 5, 2, 6, 7, 3]),
    actionMask: Uint8Array.from([0, 0, 0, 1, 1, 1]),
    oldLogProbs: Float32Array.from([0, 0, 0, -2.1, -2.4, -1.9]),
    referenceLogProbs: Float32Array.from([0, 0, 0, -2, -2.2, -2.3]),
    oldValues: Float32Array.from([0, 0, 0, 0.2, -0.1, 0.4]),
    advantages: Float32Array.from([0, 0, 0, 0.5, -1.2, 0.3]),
    returns: Float32Array.from([0, 0, 0, 1, 0.5, -0.2]),
  };

  it.each(['k2', 'k3'] as const)('has the gradient of the PPO loss that finite differences give, with %s', async (klLoss) => {
    const loss: PPOLossOptions = {
      clip: 0.2,
      valueClip: 0.2,
      valueCoefficient: 0.5,
      entropyCoefficient: 0.02,
      klLossCoefficient: 0.3,
      klLoss,
      normalizer: 3,
    };
    const policy = policyWith();
    await policy.accumulatePPO([sequence], loss);
    const lossAt = async (change: (policy: TabularPolicy) => void) => (await policyWith(change).accumulatePPO([sequence], loss)).loss;
    const used = [...policy.logitGradient.keys()].filter((i) => policy.logitGradient[i] !== 0);
    expect(used).toHaveLength(3 * vocabulary);
    for (const i of used) {
      const up = await lossAt(({ logits }) => {
        logits[i]! += step;
      });
      const down = await lossAt(({ logits }) => {
        logits[i]! -= step;
      });
      expect(Math.abs((up - down) / (2 * step) - policy.logitGradient[i]!)).toBeLessThan(1e-5);
    }
    for (const i of [...policy.valueGradient.keys()].filter((index) => policy.valueGradient[index] !== 0)) {
      const up = await lossAt(({ valueTable }) => {
        valueTable[i]! += step;
      });
      const down = await lossAt(({ valueTable }) => {
        valueTable[i]! -= step;
      });
      expect(Math.abs((up - down) / (2 * step) - policy.valueGradient[i]!)).toBeLessThan(1e-5);
    }
  });
});
