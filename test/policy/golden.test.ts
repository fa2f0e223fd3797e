import { afterAll, describe, expect, it } from 'vitest';
import { headChunkRows } from '../../src/device/cpu/head';
import type { Device, DeviceBuffer, NumberArray } from '../../src/device/index';
import { reportPPOLoss } from '../../src/policy/index';
import { type BatchShape, gradientBuffer, meanBuffer, ppoGraph, updateGraph, varianceBuffer } from '../../src/policy/programs';
import { attention, Graph, matmul } from '../../src/tensor/index';
import { decoder, headWeight } from '../../src/transformer/index';
import { devices } from '../device';
import { describeWithShared } from '../shared';
import { besideReference, expectClose, goldenCases, loadCase, type Tensors } from './golden-case';

interface Arrangement {
  /** All sequences one after the other in one row, without padding. Otherwise they stand as in the files, padded on either side. */
  readonly packed?: boolean;
  /** Rows of the head for each action, all but the first without weight: so many that they make several chunks. */
  readonly rowsPerAction?: number;
}

/** Tokens, positions and segments of the golden batch, and which entries of the files speak of its actions. */
function layOut(inputs: Tensors, { packed = false, rowsPerAction = 1 }: Arrangement = {}) {
  const [rows, length] = inputs.get('input_ids')!.shape as [number, number];
  const mask = inputs.get('attention_mask')!.data;
  const tokens: number[] = [];
  const positions: number[] = [];
  const segments: number[] = [];
  const predictors: number[] = [];
  const entries: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let t = 0, position = 0; t < length; t++) {
      const isReal = mask[row * length + t] === 1;
      if (packed && !isReal) continue;
      if (t < length - 1 && inputs.get('action_mask')!.data[row * (length - 1) + t]) {
        for (let i = 0; i < rowsPerAction; i++) predictors.push(tokens.length);
        entries.push(row * (length - 1) + t);
      }
      tokens.push(inputs.get('input_ids')!.data[row * length + t]!);
      positions.push(isReal ? position++ : 0);
      segments.push(isReal ? row : -1);
    }
  }
  const ids = { tokens: Int32Array.from(tokens), positions: Int32Array.from(positions), segments: Int32Array.from(segments) };
  return { rows: packed ? 1 : rows, length: packed ? tokens.length : length, ids, predictors, entries, mask };
}

/** Rows of the head for two chunks, and a border between them that lies among the actions. */
function severalChunks(name: string): [string, Arrangement] {
  const { form, inputs } = loadCase(name);
  const rowsPerAction = Math.ceil((1.4 * headChunkRows(form.config.vocabularySize)) / layOut(inputs).entries.length);
  return [', the head in several chunks of rows', { rowsPerAction }];
}

const largest = (data: NumberArray) => (data as Float32Array).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

for (const [kind, open] of Object.entries(devices)) {
  describeWithShared(`golden cases on ${kind}`, 'golden/README.md', async () => {
    const device: Device = await open();
    afterAll(() => device.dispose());

    describe.each(goldenCases)('%s', (name) => {
      const upload = (weights: Tensors) => new Map([...weights].map(([key, { shape, data }]) => [key, device.create(shape, 'f32', data)]));

      it('has the reference logits', async () => {
        const { form, weights, inputs, expected } = loadCase(name);
        const { rows, length, ids, mask } = layOut(inputs);
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
          inputs: ids,
          buffers: upload(weights),
        });
        const vocabulary = config.vocabularySize;
        mask.forEach((real, t) => {
          if (!real) logits!.fill(0, t * vocabulary, (t + 1) * vocabulary);
        });
        expectClose(logits!, expected.get('logits')!.data, 1e-5, 'logits');
      });

      it.each<[string, Arrangement & { checkpointing?: boolean }]>([
        ['', {}],
        [', layers computed again for the backward pass', { checkpointing: true }],
        [', all sequences packed into one row', { packed: true }],
        // a GPU's chunks are several times as large, and slow without one
        ...(kind === 'cpu' ? [severalChunks(name)] : []),
      ])('has the reference log-probabilities, losses and gradients, and the weights after three AdamW steps%s', async (_, variant) => {
        const { checkpointing, rowsPerAction = 1 } = variant;
        const { form, weights, inputs, trainable, expected, hyperparameters: h, steps } = loadCase(name);
        const { rows, length, ids, predictors, entries } = layOut(inputs, variant);
        const actions = entries.length;
        const shape: BatchShape = { rows, length, actions: predictors.length, segmented: true };
        const ppo = await device.compile(await ppoGraph({ ...form, checkpointing }, shape, 'k3', trainable));
        const update = await device.compile(updateGraph(trainable, () => 'decayed'));
        const buffers = upload(weights) as Map<string, DeviceBuffer>;
        for (const [key, size] of trainable) {
          for (const buffer of [gradientBuffer(key), meanBuffer(key), varianceBuffer(key)]) buffers.set(buffer, device.create(size, 'f32'));
        }
        const pick = (key: string) => Float32Array.from(entries, (entry) => inputs.get(key)!.data[entry]!);
        const columns = {
          oldLogProbs: pick('old_logp'),
          referenceLogProbs: pick('ref_logp'),
          oldValues: pick('old_values'),
          advantages: pick('advantages'),
          returns: pick('returns'),
        };
        /** Each action's value in the first of its rows, zeros in the others. */
        const toRows = (values: ArrayLike<number>) =>
          Float32Array.from(predictors, (_, row) => (row % rowsPerAction === 0 ? values[row / rowsPerAction]! : 0));
        const fromRows = (values: NumberArray) => Float32Array.from(entries, (_, i) => values[i * rowsPerAction]!);
        const scalars = {
          clip: h.clip,
          valueClip: h.value_clip,
          valueCoefficient: h.value_coef,
          entropyCoefficient: h.entropy_coef,
          klLossCoefficient: h.kl_loss_coef,
        };
        const targets = Int32Array.from(predictors, (position) => ids.tokens[position + 1]!);
        for (const [step, reference] of steps.entries()) {
          device.clear([...trainable.keys()].map((key) => buffers.get(gradientBuffer(key))!));
          const found = await device.run(ppo, {
            inputs: {
              ...ids,
              predictors: Int32Array.from(predictors),
              targets,
              ...Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, toRows(values)])),
              weights: toRows(entries.map(() => 1 / actions)),
              temperature: Float32Array.of(h.temperature),
              ...Object.fromEntries(Object.entries(scalars).map(([key, value]) => [key, Float32Array.of(value)])),
            },
            buffers,
          });
          const scored = {
            logp: fromRows(found.logProbs!),
            entropy: fromRows(found.entropies!),
            values: fromRows(found.values!),
          };
          const report = reportPPOLoss(
            entries.map((_, i) => ({
              logProb: scored.logp[i]!,
              entropy: scored.entropy[i]!,
              value: scored.values[i]!,
              oldLogProb: columns.oldLogProbs[i]!,
              referenceLogProb: columns.referenceLogProbs[i]!,
              oldValue: columns.oldValues[i]!,
              advantage: columns.advantages[i]!,
              return: columns.returns[i]!,
            })),
            { ...scalars, klLoss: 'k3', normalizer: actions },
          );
          const pairs: [string, number, number][] = [
            ...besideReference(report, reference),
            ['loss on the device', found.loss![0]!, reference.loss],
          ];
          for (const [what, value, wanted] of pairs) expect(Math.abs(value - wanted), `${what} of step ${step + 1}`).toBeLessThan(1e-5);
          if (step === 0) {
            for (const [key, values] of Object.entries(scored)) {
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
      });
    });
  });
}
