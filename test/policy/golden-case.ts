import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { NumberArray } from '../../src/device/index';
import type { PPOLossReport } from '../../src/policy/index';
import type { ModelForm } from '../../src/policy/programs';
import type { Shape } from '../../src/tensor/index';
import {
  decodeSafetensors,
  type LoraConfig,
  loraShapes,
  parameterShapes,
  parseModelConfig,
  toFloat32Array,
  toInt32Array,
  valueHeadShapes,
} from '../../src/transformer/index';
import { sharedPath } from '../shared';

/** The reference's cases (golden/README.md says what each exercises). */
export const goldenCases = ['qwen2-tied', 'llama-untied', 'qwen2-lora'];

export type Tensors = Map<string, { shape: Shape; data: NumberArray }>;

function load(path: string): Tensors {
  const tensors: Tensors = new Map();
  for (const [name, tensor] of decodeSafetensors(readFileSync(sharedPath(path)), path)) {
    tensors.set(name, { shape: tensor.shape, data: tensor.dtype.startsWith('F') ? toFloat32Array(tensor) : toInt32Array(tensor) });
  }
  return tensors;
}

const json = (path: string) => JSON.parse(readFileSync(sharedPath(path), 'utf8'));
const withoutPrefix = (name: string) => name.replace('base_model.model.', '');

export function loadCase(name: string) {
  const folder = `golden/${name}`;
  const config = parseModelConfig(json(`${folder}/config.json`));
  const weights = load(`${folder}/model.safetensors`);
  let lora: LoraConfig | undefined;
  if (name.endsWith('lora')) {
    const adapter = json(`${folder}/adapter_config.json`);
    lora = { rank: adapter.r, alpha: adapter.lora_alpha, targets: adapter.target_modules };
    for (const [key, tensor] of load(`${folder}/adapter_model.safetensors`)) weights.set(withoutPrefix(key), tensor);
  }
  const inputs = load(`${folder}/inputs.safetensors`);
  for (const part of ['weight', 'bias']) weights.set(`value_head.${part}`, inputs.get(`value_head.${part}`)!);
  const trainable = new Map<string, Shape>([
    ...(lora ? loraShapes(config, lora) : parameterShapes(config)),
    ...valueHeadShapes(config.hiddenSize),
  ]);
  const expected = new Map([...load(`${folder}/expected.safetensors`)].map(([key, tensor]) => [withoutPrefix(key), tensor]));
  return { form: { config, lora } satisfies ModelForm, weights, inputs, trainable, expected, ...json(`${folder}/expected.json`) };
}

export function expectClose(found: NumberArray, expected: NumberArray, tolerance: number, what: string): void {
  expect(found.length, what).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < found.length; i++) worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  expect(worst, `${what}: largest difference`).toBeLessThanOrEqual(tolerance);
}

/** A step's losses and diagnostics, each beside the reference's of the same step. */
export function besideReference(report: PPOLossReport, reference: Record<string, number>): [string, number, number][] {
  return [
    ['policy loss', report.policyLoss, reference.policy_loss!],
    ['value loss', report.valueLoss, reference.value_loss!],
    ['entropy', report.entropy, reference.entropy!],
    ['KL k1', report.klK1, reference.kl_k1!],
    ['KL k3', report.klK3, reference.kl_k3!],
    ['clip fraction', report.clipFraction, reference.clip_fraction!],
    ['approximate KL', report.approximateKl, reference.approx_kl!],
    ['loss', report.loss, reference.loss!],
  ];
}
