import { describe, expect, it } from 'vitest';
import type { Launch } from '../../src/device/webgpu/lower';
import { lowerGraph } from '../../src/device/webgpu/lower';
import { methodsOf, single, usualMethod } from '../../src/device/webgpu/tiles';
import { crossEntropyGraph, extendGraph, ppoGraph, scoreGraph, updateGraph } from '../../src/policy/programs';
import type { Graph } from '../../src/tensor/index';
import { type ModelConfig, parameterShapes, parseModelConfig, valueHeadShapes } from '../../src/transformer/index';

/** A Qwen2 of so many layers: with biases, grouped queries and tied embeddings. */
function model(layers: number): ModelConfig {
  return parseModelConfig({
    model_type: 'qwen2',
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: layers,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 128,
    rms_norm_eps: 1e-6,
    rope_theta: 1e4,
    max_position_embeddings: 512,
    tie_word_embeddings: true,
  });
}

const launchesOf = (graph: Graph, storageBuffers = 8): readonly Launch[] =>
  lowerGraph(graph, { storageBuffers, bindingBytes: 2 ** 30, sharedBytes: 16_384, methodOf: usualMethod(methodsOf(single)) }).launches;

/** What one more layer costs. */
async function perLayer(build: (config: ModelConfig) => Graph | Promise<Graph>): Promise<number> {
  return launchesOf(await build(model(3))).length - launchesOf(await build(model(2))).length;
}

const batch = { rows: 4, length: 64, actions: 32, segmented: true };
const trainable = (config: ModelConfig) => new Map([...parameterShapes(config), ...valueHeadShapes(config.hiddenSize)]);

describe('a graph on WebGPU', () => {
  it('takes at most 16 dispatches a layer forward', async () => {
    expect(await perLayer((config) => scoreGraph({ config }, batch))).toBeLessThanOrEqual(16);
  });

  it('takes at most 16 dispatches a layer for a token of every dialogue', async () => {
    const shape = { rows: 8, length: 1, capacity: 128, filled: 128, greedy: false };
    expect(await perLayer((config) => extendGraph({ config }, shape))).toBeLessThanOrEqual(16);
  });

  it('takes at most 34 dispatches a layer forward and backward, gradients of all weights gathered', async () => {
    expect(await perLayer((config) => ppoGraph({ config }, batch, 'k3', trainable(config)))).toBeLessThanOrEqual(34);
    expect(await perLayer((config) => crossEntropyGraph({ config }, batch, trainable(config)))).toBeLessThanOrEqual(34);
  });

  it('takes two dispatches a tensor for clipping and AdamW', () => {
    const config = model(2);
    const tensors = trainable(config);
    expect(launchesOf(updateGraph(tensors, () => 'decayed')).length).toBe(2 * tensors.size + 1);
  });

  it('never binds a buffer that it writes a second time in one dispatch, nor more buffers than every GPU has', async () => {
    const config = model(2);
    const graphs = [
      scoreGraph({ config }, batch),
      await ppoGraph({ config, checkpointing: true }, batch, 'k3', trainable(config)),
      updateGraph(trainable(config), () => 'decayed'),
      extendGraph({ config }, { rows: 8, length: 16, capacity: 128, filled: 64, greedy: false, chosen: 4 }),
    ];
    for (const graph of graphs) {
      for (const { call, uses } of launchesOf(graph)) {
        expect(uses.length).toBe(call.kernel.buffers.length);
        expect(uses.length).toBeLessThanOrEqual(8);
        const placeOf = ({ value }: (typeof uses)[number]) =>
          value.place.kind === 'scratch' ? `slot ${value.slot}` : JSON.stringify(value.place);
        call.kernel.buffers.forEach(({ access, name }, index) => {
          if (access !== 'write') return;
          const same = uses.filter((use) => placeOf(use) === placeOf(uses[index]!));
          expect(same.length, `${call.kernel.name}: ${name}`).toBe(1);
        });
      }
    }
  });
});
