import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Device, NumberArray } from '../../src/device/index';
import { LocalPolicy, type LocalPolicyOptions, type PPOLossReport, type PPOSequence } from '../../src/policy/index';
import type { ModelForm } from '../../src/policy/programs';
import type { Shape } from '../../src/tensor/index';
import {
  decodeSafetensors,
  type LoraConfig,
  loraShapes,
  parameterShapes,
  parseModelConfig,
  Tokenizer,
  toFloat32Array,
  toInt32Array,
  trainTokenizer,
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

/** A sequence of the golden batch, without its padding. */
export interface GoldenSequence extends PPOSequence {
  /** Where its first token stands in the files. */
  readonly row: number;
  readonly start: number;
}

function sequencesOf(inputs: Tensors): GoldenSequence[] {
  const [rows, length] = inputs.get('input_ids')!.shape as [number, number];
  return Array.from({ length: rows }, (_, row) => {
    const mask = inputs.get('attention_mask')!.data.subarray(row * length, (row + 1) * length);
    const [start, end] = [mask.indexOf(1), mask.lastIndexOf(1) + 1];
    // an entry of the files speaks of the token after it
    const column = (name: string) =>
      Float32Array.from({ length: end - start }, (_, t) => (t === 0 ? 0 : inputs.get(name)!.data[row * (length - 1) + start + t - 1]!));
    return {
      row,
      start,
      tokens: Int32Array.from(inputs.get('input_ids')!.data.subarray(row * length + start, row * length + end)),
      actionMask: Uint8Array.from(column('action_mask')),
      oldLogProbs: column('old_logp'),
      referenceLogProbs: column('ref_logp'),
      oldValues: column('old_values'),
      advantages: column('advantages'),
      returns: column('returns'),
    };
  });
}

/** The golden cases are token ids, fewer than there are bytes: a tokenizer of one token does. */
const tokenizer = Tokenizer.fromJSON({
  ...trainTokenizer({ texts: [], vocabularySize: 300 }).tokenizer,
  model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
  added_tokens: [],
});

type GoldenCase = ReturnType<typeof loadCase>;

/** The policy of a case, before its first step. */
export function policyOf({ form: { config, lora }, weights, hyperparameters: h }: GoldenCase, device: Device, options: LocalPolicyOptions) {
  const given = new Map([...weights].map(([key, { shape, data }]) => [key, { shape, data: data as Float32Array }]));
  // no token ends a golden text
  const model = { config, tokenizer, weights: given, eosTokenIds: [config.vocabularySize] };
  return new LocalPolicy(device, model, { lora, temperature: h.temperature, ...options });
}

/** What the policy of a case is trained on, and how. */
export function goldenTraining({ inputs, hyperparameters: h }: GoldenCase) {
  const sequences = sequencesOf(inputs);
  const actions = sequences.reduce((total, { actionMask }) => total + actionMask.reduce((a, b) => a + b, 0), 0);
  const loss = {
    clip: h.clip,
    valueClip: h.value_clip,
    valueCoefficient: h.value_coef,
    entropyCoefficient: h.entropy_coef,
    klLossCoefficient: h.kl_loss_coef,
    klLoss: 'k3' as const,
    normalizer: actions,
  };
  const update = {
    learningRate: h.learning_rate,
    betas: h.betas,
    epsilon: h.eps,
    weightDecay: h.weight_decay,
    decayAll: true,
    maxGradientNorm: h.max_grad_norm,
  };
  return { sequences, actions, loss, update };
}
