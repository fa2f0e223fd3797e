import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RlpaError } from '../../src/errors';
import { decodeSafetensors, parameterShapes, parseModelConfig, toHuggingFaceConfig } from '../../src/transformer/index';
import { describeWithShared, sharedPath } from '../shared';

const qwen = {
  model_type: 'qwen2',
  hidden_act: 'silu',
  hidden_size: 32,
  intermediate_size: 88,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 96,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  tie_word_embeddings: true,
};
const llama = { ...qwen, model_type: 'llama', tie_word_embeddings: false };

function refusal(json: unknown): RlpaError {
  try {
    parseModelConfig(json);
  } catch (error) {
    if (RlpaError.isInstance(error)) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('a model configuration', () => {
  it('gives Qwen2 its query, key and value biases though its file does not mention them', () => {
    const shapes = parameterShapes(parseModelConfig(qwen));
    expect(shapes.get('model.layers.1.self_attn.k_proj.bias')).toEqual([16]);
    expect(shapes.has('model.layers.1.self_attn.o_proj.bias')).toBe(false);
    expect(shapes.has('lm_head.weight')).toBe(false);
  });

  it('gives Llama no biases unless its file asks for them, and then the output projection has one too', () => {
    expect([...parameterShapes(parseModelConfig(llama)).keys()].filter((name) => name.endsWith('.bias'))).toEqual([]);
    const biased = parameterShapes(parseModelConfig({ ...llama, attention_bias: true }));
    expect(biased.get('model.layers.0.self_attn.o_proj.bias')).toEqual([32]);
    expect(biased.get('lm_head.weight')).toEqual([96, 32]);
  });

  it('reads the head width where it is not hidden size / heads', () => {
    const shapes = parameterShapes(parseModelConfig({ ...llama, head_dim: 12 }));
    expect(shapes.get('model.layers.0.self_attn.q_proj.weight')).toEqual([48, 32]);
    expect(shapes.get('model.layers.0.self_attn.v_proj.weight')).toEqual([24, 32]);
    expect(shapes.get('model.layers.0.self_attn.o_proj.weight')).toEqual([32, 48]);
  });

  it('reads RoPE theta from the old and from the newer layout', () => {
    const { rope_theta: _, ...rest } = qwen;
    expect(parseModelConfig(qwen).ropeTheta).toBe(1_000_000);
    expect(parseModelConfig({ ...rest, rope_parameters: { rope_type: 'default', rope_theta: 500_000 } }).ropeTheta).toBe(500_000);
    expect(parseModelConfig(rest).ropeTheta).toBe(10_000);
  });

  it('accepts a sliding window that is switched off, as Qwen2.5 has it', () => {
    expect(parseModelConfig({ ...qwen, use_sliding_window: false, sliding_window: 32768, max_window_layers: 21 }).layers).toBe(2);
    expect(parseModelConfig({ ...qwen, layer_types: ['full_attention', 'full_attention'] }).layers).toBe(2);
  });

  it.each([
    ['model_type', { ...qwen, model_type: 'mistral' }],
    ['hidden_size', { ...qwen, hidden_size: -32 }],
    ['hidden_size', { ...qwen, hidden_size: Number.NaN }],
    ['hidden_size', { ...qwen, hidden_size: '32' }],
    ['num_hidden_layers', { ...qwen, num_hidden_layers: 0 }],
    ['num_hidden_layers', { ...qwen, num_hidden_layers: 1e9 }],
    ['vocab_size', { ...qwen, vocab_size: 96.5 }],
    ['intermediate_size', { ...qwen, intermediate_size: undefined }],
    ['num_attention_heads', { ...qwen, num_attention_heads: 3, num_key_value_heads: 3 }],
    ['num_key_value_heads', { ...qwen, num_key_value_heads: 3 }],
    ['head_dim', { ...qwen, head_dim: 7 }],
    ['hidden_act', { ...qwen, hidden_act: 'gelu' }],
    ['rms_norm_eps', { ...qwen, rms_norm_eps: 0 }],
    ['rope_theta', { ...qwen, rope_theta: Number.POSITIVE_INFINITY }],
    ['rope_scaling.rope_type', { ...llama, rope_scaling: { rope_type: 'llama3', factor: 8 } }],
    ['rope_scaling.rope_type', { ...llama, rope_scaling: { type: 'linear', factor: 2 } }],
    ['rope_parameters.rope_type', { ...qwen, rope_parameters: { rope_type: 'yarn', rope_theta: 1e6 } }],
    ['use_sliding_window', { ...qwen, use_sliding_window: true, sliding_window: 128, max_window_layers: 1 }],
    ['layer_types', { ...qwen, layer_types: ['full_attention', 'sliding_attention'] }],
    ['mlp_bias', { ...llama, mlp_bias: true }],
    ['attention_bias', { ...qwen, attention_bias: false }],
    ['quantization_config', { ...qwen, quantization_config: { quant_method: 'gptq' } }],
    ['tie_word_embeddings', { ...qwen, tie_word_embeddings: 'yes' }],
    ['eos_token_id', { ...qwen, eos_token_id: [-1] }],
    ['(root)', null],
  ])('names %s when it is what cannot be computed', (field, json) => {
    const error = refusal(json);
    expect(error.code).toBe('invalid-model');
    expect(error.details.field).toBe(field);
    expect(error.message).toContain(field);
  });

  it('survives being written and read again', () => {
    for (const json of [qwen, llama, { ...llama, head_dim: 12, eos_token_id: [3, 4], bos_token_id: 1 }]) {
      const config = parseModelConfig(json);
      expect(parseModelConfig(JSON.parse(JSON.stringify(toHuggingFaceConfig(config))))).toEqual(config);
    }
  });
});

describeWithShared('parameter shapes of published and golden models', 'golden', () => {
  it.each(['golden/qwen2-tied', 'golden/llama-untied', 'golden/qwen2-lora', 'models/stories260k'])(
    '%s has exactly these tensors',
    (folder) => {
      const config = parseModelConfig(JSON.parse(readFileSync(sharedPath(`${folder}/config.json`), 'utf8')));
      const tensors = decodeSafetensors(readFileSync(sharedPath(`${folder}/model.safetensors`)), folder);
      const shapes = new Map([...tensors].map(([name, tensor]) => [name, tensor.shape]));
      expect(shapes).toEqual(parameterShapes(config));
    },
  );
});
