import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { Device, DeviceBuffer, NumberArray } from '../../src/device/index';
import { reportPPOLoss } from '../../src/policy/index';
import {
  type BatchShape,
  gradientBuffer,
  type ModelForm,
  meanBuffer,
  ppoGraph,
  updateGraph,
  varianceBuffer,
} from '../../src/policy/programs';
import { attention, Graph, matmul, type Shape, sizeOf } from '../../src/tensor/index';
import {
  decoder,
  decodeSafetensors,
  headWeight,
  type LoraConfig,
  loraShapes,
  parameterShapes,
  parseModelConfig,
  toFloat32Array,
  toInt32Array,
  valueHeadShapes,
} from '../../src/transformer/index';
import { devices } from '../device';
import { describeWithShared, sharedPath } from '../shared';

type Tensors = Map<string, { shape: Shape; data: NumberArray }>;

function load(path: string): Tensors {
  const tensors: Tensors = new Map();
  for (const [name, tensor] of decodeSafetensors(readFileSync(sharedPath(path)), path)) {
    tensors.set(name, { shape: tensor.shape, data: tensor.dtype.startsWith('F') ? toFloat32Array(tensor) : toInt32Array(tensor) });
  }
  return tensors;
}

const json = (path: string) => JSON.parse(readFileSync(sharedPath(path), 'utf8'));
const withoutPrefix = (name: string) => name.replace('base_model.model.', '');

function loadCase(name: string) {
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

/** Tokens, positions and segments of the golden batch, whose rows are padded on either side. */
function layOut(inputs: Tensors) {
  const [rows, length] = inputs.get('input_ids')!.shape as [number, number];
  const mask = inputs.get('attention_mask')!.data;
  const positions = new Int32Array(rows * length);
  const segments = new Int32Array(rows * length).fill(-1);
  const predictors: number[] = [];
  const entries: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let t = 0, position = 0; t < length; t++) {
      if (!mask[row * length + t]) continue;
      positions[row * length + t] = position++;
      segments[row * length + t] = row;
    }
    for (let t = 0; t < length - 1; t++) {
      if (!inputs.get('action_mask')!.data[row * (length - 1) + t]) continue;
      predictors.push(row * length + t);
      entries.push(row * (length - 1) + t);
    }
  }
  const tokens = Int32Array.from(inputs.get('input_ids')!.data);
  return { rows, length, tokens, positions, segments, predictors, entries, mask };
}

function expectClose(found: NumberArray, expected: NumberArray, tolerance: number, what: string): void {
  expect(found.length, what).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < found.length; i++) worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  expect(worst, `${what}: largest difference`).toBeLessThanOrEqual(tolerance);
}

const largest = (data: NumberArray) => (data as Float32Array).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

for (const [kind, open] of Object.entries(devices)) {
  describeWithShared(`golden cases on ${kind}`, 'golden/README.md', async () => {
    const device: Device = await open();
    afterAll(() => device.dispose());

    describe.each(['qwen2-tied', 'llama-untied', 'qwen2-lora'])('%s', (name) => {
      const upload = (weights: Tensors) => new Map([...weights].map(([key, { shape, data }]) => [key, device.create(shape, 'f32', data)]));

      it('has the reference logits', async () => {
        const { form, weights, inputs, expected } = loadCase(name);
        const { rows, length, tokens, positions, segments, mask } = layOut(inputs);
        const graph = new Graph();
        const { config, lora } = form;
        const n = rows * length;
        const marks = graph.input('segments', [n], 'i32');
        const shape = { batch: rows, length, heads: config.heads, kvHeads: config.kvHeads, headSize: config.headSize };
        const hidden = decoder(graph, config, {
          tokens: graph.input('tokens', [n], 'i32'),
          positions: graph.input('positions', [n], 'i32'),
          attend: (_, q, k, v) => attention(q, k, v, shape, marks),
          lora,
        });
        graph.output('logits', matmul(hidden, headWeight(graph, config), { transposeB: true }));
        const { logits } = await device.run(await device.compile(graph), {
          inputs: { tokens, positions, segments },
          buffers: upload(weights),
        });
        const vocabulary = config.vocabularySize;
        mask.forEach((real, t) => {
          if (!real) logits!.fill(0, t * vocabulary, (t + 1) * vocabulary);
        });
        expectClose(logits!, expected.get('logits')!.data, 1e-5, 'logits');
      });

      it.each([
        ['', false],
        [', layers computed again for the backward pass', true],
      ])(
        'has the reference log-probabilities, losses and gradients, and the weights after three AdamW steps%s',
        async (_, checkpointing) => {
          const { form, weights, inputs, trainable, expected, hyperparameters: h, steps } = loadCase(name);
          const { rows, length, tokens, positions, segments, predictors, entries } = layOut(inputs);
          const actions = predictors.length;
          const shape: BatchShape = { rows, length, actions, segmented: true };
          const ppo = await device.compile(ppoGraph({ ...form, checkpointing }, shape, 'k3', trainable));
          const update = await device.compile(updateGraph(trainable, () => 'decayed'));
          const buffers = upload(weights) as Map<string, DeviceBuffer>;
          for (const [key, size] of trainable) {
            for (const buffer of [gradientBuffer(key), meanBuffer(key), varianceBuffer(key)])
              buffers.set(buffer, device.create(size, 'f32'));
          }
          const pick = (key: string) => Float32Array.from(entries, (entry) => inputs.get(key)!.data[entry]!);
          const columns = {
            oldLogProbs: pick('old_logp'),
            referenceLogProbs: pick('ref_logp'),
            oldValues: pick('old_values'),
            advantages: pick('advantages'),
            returns: pick('returns'),
          };
          const scalars = {
            clip: h.clip,
            valueClip: h.value_clip,
            valueCoefficient: h.value_coef,
            entropyCoefficient: h.entropy_coef,
            klLossCoefficient: h.kl_loss_coef,
          };
          const targets = Int32Array.from(predictors, (position) => tokens[position + 1]!);
          for (const [step, reference] of steps.entries()) {
            for (const [key, size] of trainable) device.write(buffers.get(gradientBuffer(key))!, new Float32Array(sizeOf(size)));
            const found = await device.run(ppo, {
              inputs: {
                tokens,
                positions,
                segments,
                predictors: Int32Array.from(predictors),
                targets,
                ...columns,
                weights: new Float32Array(actions).fill(1 / actions),
                temperature: Float32Array.of(h.temperature),
                ...Object.fromEntries(Object.entries(scalars).map(([key, value]) => [key, Float32Array.of(value)])),
              },
              buffers,
            });
            const report = reportPPOLoss(
              predictors.map((_, i) => ({
                logProb: found.logProbs![i]!,
                entropy: found.entropies![i]!,
                value: found.values![i]!,
                oldLogProb: columns.oldLogProbs[i]!,
                referenceLogProb: columns.referenceLogProbs[i]!,
                oldValue: columns.oldValues[i]!,
                advantage: columns.advantages[i]!,
                return: columns.returns[i]!,
              })),
              { ...scalars, klLoss: 'k3', normalizer: actions },
            );
            const pairs: [string, number, number][] = [
              ['policy loss', report.policyLoss, reference.policy_loss],
              ['value loss', report.valueLoss, reference.value_loss],
              ['entropy', report.entropy, reference.entropy],
              ['KL k1', report.klK1, reference.kl_k1],
              ['KL k3', report.klK3, reference.kl_k3],
              ['clip fraction', report.clipFraction, reference.clip_fraction],
              ['approximate KL', report.approximateKl, reference.approx_kl],
              ['loss', report.loss, reference.loss],
              ['loss on the device', found.loss![0]!, reference.loss],
            ];
            for (const [what, value, wanted] of pairs) expect(Math.abs(value - wanted), `${what} of step ${step + 1}`).toBeLessThan(1e-5);
            if (step === 0) {
              for (const key of ['logp', 'entropy', 'values']) {
                const values = found[{ logp: 'logProbs', entropy: 'entropies', values: 'values' }[key]!]!;
                expectClose(
                  values,
                  Float32Array.from(entries, (entry) => expected.get(key)!.data[entry]!),
                  1e-5,
                  key,
                );
              }
              for (const key of trainable.keys()) {
                const wanted = expected.get(`grad.${key}`)!.data;
                expectClose(
                  await device.read(buffers.get(gradientBuffer(key))!),
                  wanted,
                  2e-5 * Math.max(largest(wanted), 1e-8),
                  `gradient of ${key}`,
                );
              }
            }
            const t = step + 1;
            const [beta1, beta2] = h.betas;
            const { norm } = await device.run(update, {
              inputs: {
                limit: Float32Array.of(h.max_grad_norm),
                decayed: Float32Array.of(h.learning_rate, beta1, beta2, h.eps, h.weight_decay, 1 - beta1 ** t, 1 - beta2 ** t),
              },
              buffers,
            });
            expect(Math.abs(norm![0]! - reference.grad_norm), 'gradient norm').toBeLessThan(2e-5);
            if (t === 1 || t === 3) {
              for (const key of trainable.keys()) {
                expectClose(
                  await device.read(buffers.get(key)!),
                  expected.get(`param.after${t}.${key}`)!.data,
                  2e-5,
                  `${key} after step ${t}`,
                );
              }
            }
          }
        },
      );
    });
  });
}
