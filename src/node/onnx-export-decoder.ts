import { type Name, OnnxModel } from '../device/cpu/index';
import { type ModelConfig, type Projection, projectionPrefix } from '../transformer/index';

/** How the weights of a model stand in a graph: plainly, or in blocks of integers. */
export interface ExportedWeights {
  /** x · weightᵀ + bias: x [N, in], weight [out, in] → [N, out]. */
  linear(model: OnnxModel, x: Name, weight: string, bias?: string): Name;
  /** Rows of a matrix [V, d] by their indices [N] → [N, d]. */
  rows(model: OnnxModel, weight: string, indices: Name): Name;
  /** A norm's weight [d]. */
  vector(model: OnnxModel, weight: string): Name;
}

/** Added to a score that must not count. Finite, so that a padded query, which sees nothing, gives no NaN. */
const masked = -1e30;
/** Old enough for the runtimes that browsers have. */
const opset = 17;
const types = { f32: 1, bool: 9 };

/**
 * A decoder as one ONNX graph with the inputs and outputs of Hugging Face's text-generation exports: `input_ids`, `attention_mask`,
 * `position_ids`, `past_key_values.N.key` and `.value`, `num_logits_to_keep` (the last so many tokens; 0 for all) → `logits`,
 * `present.N.key` and `.value`. A run decides batch and lengths; rows may be padded on either side. The operators are ordinary ones, which
 * every execution provider has.
 */
export function exportDecoder(config: ModelConfig, weights: ExportedWeights): OnnxModel {
  const { heads, kvHeads, headSize, hiddenSize, layers, vocabularySize } = config;
  const model = new OnnxModel(opset);
  const reshape = (x: Name, ...shape: number[]) => model.node('Reshape', [x, model.integers(...shape)]);
  const transpose = (x: Name, ...perm: number[]) => model.node('Transpose', [x], { perm: { ints: perm } });
  const norm = (x: Name, weight: string) =>
    model.node('SimplifiedLayerNormalization', [x, weights.vector(model, weight)], {
      axis: { int: -1 },
      epsilon: config.rmsNormEpsilon,
    });

  for (const [name, length] of [
    ['input_ids', 'sequence_length'],
    ['attention_mask', 'total_sequence_length'],
    ['position_ids', 'sequence_length'],
  ] as const)
    model.input(name, 'i64', ['batch_size', length]);
  model.input('num_logits_to_keep', 'i64', []);
  const tokens = model.node('Shape', ['input_ids']);
  const bias = attentionBias(model, tokens);
  const { cosine, sine } = rotaryAngles(model, config);

  /** [B·T, count·size] → [B, count, T, size]. */
  const split = (x: Name, count: number) => {
    const shape = model.node('Concat', [tokens, model.integers(count, headSize)], { axis: { int: 0 } });
    return transpose(model.node('Reshape', [x, shape]), 0, 2, 1, 3);
  };
  /** The rotate-half form: [x1·cos − x2·sin, x2·cos + x1·sin]. */
  const rotate = (x: Name) => {
    const [first, second] = model.nodes('Split', [x, model.integers(headSize / 2, headSize / 2)], 2, { axis: { int: -1 } }) as [Name, Name];
    const left = model.node('Sub', [model.node('Mul', [first, cosine]), model.node('Mul', [second, sine])]);
    const right = model.node('Add', [model.node('Mul', [second, cosine]), model.node('Mul', [first, sine])]);
    return model.node('Concat', [left, right], { axis: { int: -1 } });
  };

  let hidden = weights.rows(model, 'model.embed_tokens.weight', reshape('input_ids', -1));
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const project = (x: Name, projection: Projection) => {
      const place = projectionPrefix(layer, projection);
      return weights.linear(model, x, `${place}.weight`, hasBias(config, projection) ? `${place}.bias` : undefined);
    };
    /** What is computed now behind what was computed before. */
    const cached = (part: 'key' | 'value', x: Name) => {
      const [past, present] = [`past_key_values.${layer}.${part}`, `present.${layer}.${part}`];
      model.input(past, 'f32', ['batch_size', kvHeads, 'past_sequence_length', headSize]);
      model.output(present, 'f32', ['batch_size', kvHeads, 'total_sequence_length', headSize]);
      model.bind('Concat', [past, x], [present], { axis: { int: 2 } });
      return present;
    };
    const x = norm(hidden, `${prefix}.input_layernorm.weight`);
    const queries = model.node('Mul', [rotate(split(project(x, 'q_proj'), heads)), model.float(1 / Math.sqrt(headSize))]);
    const keys = cached('key', rotate(split(project(x, 'k_proj'), kvHeads)));
    const values = cached('value', split(project(x, 'v_proj'), kvHeads));
    // the queries that share a key head stand below each other: [B, kvHeads, group·T, …]
    const scores = model.node('MatMul', [reshape(queries, 0, kvHeads, -1, headSize), transpose(keys, 0, 1, 3, 2)]);
    const visible = model.node('Add', [reshape(scores, 0, heads, -1, 0), bias]);
    const probabilities = reshape(model.node('Softmax', [visible], { axis: { int: -1 } }), 0, kvHeads, -1, 0);
    const mixed = reshape(model.node('MatMul', [probabilities, values]), 0, heads, -1, headSize);
    const joined = reshape(transpose(mixed, 0, 2, 1, 3), -1, heads * headSize);
    hidden = model.node('Add', [hidden, project(joined, 'o_proj')]);

    const y = norm(hidden, `${prefix}.post_attention_layernorm.weight`);
    const gate = project(y, 'gate_proj');
    const silu = model.node('Mul', [gate, model.node('Sigmoid', [gate])]);
    hidden = model.node('Add', [hidden, project(model.node('Mul', [silu, project(y, 'up_proj')]), 'down_proj')]);
  }

  // from −n to the end; −0 is the beginning
  const start = reshape(model.node('Neg', ['num_logits_to_keep']), 1);
  const rows = model.node('Reshape', [hidden, model.node('Concat', [tokens, model.integers(hiddenSize)], { axis: { int: 0 } })]);
  const kept = model.node('Slice', [rows, start, model.integers(2 ** 31 - 1), model.integers(1)]);
  const head = config.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  const logits = weights.linear(model, norm(reshape(kept, -1, hiddenSize), 'model.norm.weight'), head);
  const batch = model.node('Slice', [tokens, model.integers(0), model.integers(1)]);
  const shape = model.node('Concat', [batch, model.integers(-1, vocabularySize)], { axis: { int: 0 } });
  model.output('logits', 'f32', ['batch_size', 'kept_sequence_length', vocabularySize]);
  model.bind('Reshape', [logits, shape], ['logits']);
  return model;
}

function hasBias({ attentionBias, attentionOutputBias }: ModelConfig, projection: Projection): boolean {
  return projection === 'o_proj' ? attentionOutputBias : attentionBias && ['q_proj', 'k_proj', 'v_proj'].includes(projection);
}

/** [B, 1, T, S]: 0 where a token sees another, that is an earlier one or itself where the mask is 1. */
function attentionBias(model: OnnxModel, tokens: Name): Name {
  const scalar = (value: number) => model.constant('i64', [], [value]);
  const length = (shape: Name) => model.node('Gather', [shape, scalar(1)]);
  const total = length(model.node('Shape', ['attention_mask']));
  const keys = model.node('Range', [scalar(0), total, scalar(1)]);
  const queries = model.node('Range', [model.node('Sub', [total, length(tokens)]), total, scalar(1)]);
  const earlier = model.node('LessOrEqual', [keys, model.node('Reshape', [queries, model.integers(-1, 1)])]);
  const real = model.node('Cast', [model.node('Reshape', ['attention_mask', model.integers(0, 1, 1, -1)])], { to: { int: types.bool } });
  return model.node('Where', [model.node('And', [earlier, real]), model.float(0), model.float(masked)]);
}

/** cos and sin [B, 1, T, size/2] of position · theta^(−2i/size). */
function rotaryAngles(model: OnnxModel, { headSize, ropeTheta }: ModelConfig): { readonly cosine: Name; readonly sine: Name } {
  const frequencies = Float32Array.from({ length: headSize / 2 }, (_, i) => ropeTheta ** ((-2 * i) / headSize));
  const position = model.node('Cast', [model.node('Reshape', ['position_ids', model.integers(0, 1, -1, 1)])], { to: { int: types.f32 } });
  const angle = model.node('Mul', [position, model.constant('f32', [headSize / 2], frequencies)]);
  return { cosine: model.node('Cos', [angle]), sine: model.node('Sin', [angle]) };
}
