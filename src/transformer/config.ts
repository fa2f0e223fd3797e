import { RlpaError } from '../errors';

/** The decoder architectures that the engine computes. */
export type Architecture = 'qwen2' | 'llama';

/** The sizes and switches of a Qwen2 or Llama decoder: all that is needed to lay out its parameters and compute it. */
export interface ModelConfig {
  readonly architecture: Architecture;
  /** Width of the residual stream, d. */
  readonly hiddenSize: number;
  /** Width of the SwiGLU layer. */
  readonly intermediateSize: number;
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** Key/value heads; a divisor of `heads`. */
  readonly kvHeads: number;
  /** Width of one head; even, because RoPE rotates pairs. */
  readonly headSize: number;
  readonly vocabularySize: number;
  readonly maxPositions: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  /** The output head is the embedding matrix. */
  readonly tiedEmbeddings: boolean;
  /** The q, k and v projections have biases. */
  readonly attentionBias: boolean;
  /** The attention's output projection has a bias: Llama with `attention_bias`, never Qwen2. */
  readonly attentionOutputBias: boolean;
  readonly bosTokenId?: number;
  /** Tokens that end a text. */
  readonly eosTokenIds?: readonly number[];
}

type Json = Readonly<Record<string, unknown>>;

const classes: Record<Architecture, string> = { qwen2: 'Qwen2ForCausalLM', llama: 'LlamaForCausalLM' };

/** Beyond this a size is a broken file, not a model; it also keeps every product of two sizes exact. */
const largestSize = 2 ** 26;
const mostLayers = 1024;

/**
 * Reads a Hugging Face `config.json` of a Qwen2 or Llama model.
 *
 * What the engine doesn't compute is refused rather than ignored: rope scaling, sliding windows, other activations, MLP biases,
 * quantised weights.
 *
 * @param json the parsed file
 * @throws RlpaError `invalid-model` with the field, what was expected and what was found
 * @example
 * import { readFile } from 'node:fs/promises';
 * import { parseModelConfig } from 'rlpa';
 * const config = parseModelConfig(JSON.parse(await readFile('./Qwen2.5-0.5B-Instruct/config.json', 'utf8')));
 * config.layers; // 24
 */
export function parseModelConfig(json: unknown): ModelConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw refused('(root)', 'a JSON object', json);
  const fields = json as Json;

  const architecture = fields.model_type;
  if (architecture !== 'qwen2' && architecture !== 'llama') throw refused('model_type', "'qwen2' or 'llama'", architecture);
  expectValue(fields, 'hidden_act', 'silu');
  expectValue(fields, 'mlp_bias', false);
  if (isPresent(fields.quantization_config))
    throw refused('quantization_config', 'absent: weights must not be quantised', fields.quantization_config);

  const hiddenSize = size(fields, 'hidden_size');
  const heads = size(fields, 'num_attention_heads');
  const kvHeads = isPresent(fields.num_key_value_heads) ? size(fields, 'num_key_value_heads') : heads;
  if (heads % kvHeads !== 0) throw refused('num_key_value_heads', `a divisor of num_attention_heads (${heads})`, kvHeads);
  const layers = size(fields, 'num_hidden_layers', mostLayers);
  refuseSlidingWindow(fields, layers);

  const attentionBias = flag(fields, 'attention_bias', architecture === 'qwen2');
  if (architecture === 'qwen2' && !attentionBias) throw refused('attention_bias', 'true or absent: Qwen2 always has q/k/v biases', false);

  const eosTokenIds = tokenIds(fields, 'eos_token_id');
  const bosTokenId = tokenIds(fields, 'bos_token_id')?.[0];
  return {
    architecture,
    hiddenSize,
    intermediateSize: size(fields, 'intermediate_size'),
    layers,
    heads,
    kvHeads,
    headSize: headSizeOf(fields, hiddenSize, heads),
    vocabularySize: size(fields, 'vocab_size'),
    maxPositions: size(fields, 'max_position_embeddings', Number.MAX_SAFE_INTEGER),
    rmsNormEpsilon: positive(fields, 'rms_norm_eps', 1e-6),
    ropeTheta: ropeThetaOf(fields),
    tiedEmbeddings: flag(fields, 'tie_word_embeddings', false),
    attentionBias,
    attentionOutputBias: architecture === 'llama' && attentionBias,
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    ...(eosTokenIds === undefined ? {} : { eosTokenIds }),
  };
}

/** The `config.json` that transformers, vLLM and {@link parseModelConfig} read back. */
export function toHuggingFaceConfig(config: ModelConfig): Record<string, unknown> {
  return {
    architectures: [classes[config.architecture]],
    model_type: config.architecture,
    hidden_act: 'silu',
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headSize,
    vocab_size: config.vocabularySize,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEpsilon,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tiedEmbeddings,
    attention_bias: config.attentionBias,
    torch_dtype: 'float32',
    ...(config.bosTokenId === undefined ? {} : { bos_token_id: config.bosTokenId }),
    ...(config.eosTokenIds === undefined
      ? {}
      : { eos_token_id: config.eosTokenIds.length === 1 ? config.eosTokenIds[0] : config.eosTokenIds }),
  };
}

/** Every parameter by its Hugging Face name with its shape, in the order of the layers. Projections are [out, in]. */
export function parameterShapes(config: ModelConfig): Map<string, readonly number[]> {
  const { hiddenSize, intermediateSize, vocabularySize } = config;
  const queryWidth = config.heads * config.headSize;
  const keyWidth = config.kvHeads * config.headSize;
  const shapes = new Map<string, readonly number[]>();
  shapes.set('model.embed_tokens.weight', [vocabularySize, hiddenSize]);
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    shapes.set(`${prefix}.input_layernorm.weight`, [hiddenSize]);
    shapes.set(`${prefix}.self_attn.q_proj.weight`, [queryWidth, hiddenSize]);
    shapes.set(`${prefix}.self_attn.k_proj.weight`, [keyWidth, hiddenSize]);
    shapes.set(`${prefix}.self_attn.v_proj.weight`, [keyWidth, hiddenSize]);
    if (config.attentionBias) {
      shapes.set(`${prefix}.self_attn.q_proj.bias`, [queryWidth]);
      shapes.set(`${prefix}.self_attn.k_proj.bias`, [keyWidth]);
      shapes.set(`${prefix}.self_attn.v_proj.bias`, [keyWidth]);
    }
    shapes.set(`${prefix}.self_attn.o_proj.weight`, [hiddenSize, queryWidth]);
    if (config.attentionOutputBias) shapes.set(`${prefix}.self_attn.o_proj.bias`, [hiddenSize]);
    shapes.set(`${prefix}.post_attention_layernorm.weight`, [hiddenSize]);
    shapes.set(`${prefix}.mlp.gate_proj.weight`, [intermediateSize, hiddenSize]);
    shapes.set(`${prefix}.mlp.up_proj.weight`, [intermediateSize, hiddenSize]);
    shapes.set(`${prefix}.mlp.down_proj.weight`, [hiddenSize, intermediateSize]);
  }
  shapes.set('model.norm.weight', [hiddenSize]);
  if (!config.tiedEmbeddings) shapes.set('lm_head.weight', [vocabularySize, hiddenSize]);
  return shapes;
}

function headSizeOf(fields: Json, hiddenSize: number, heads: number): number {
  if (!isPresent(fields.head_dim) && hiddenSize % heads !== 0) {
    throw refused('num_attention_heads', `a divisor of hidden_size (${hiddenSize}), or head_dim given`, heads);
  }
  const headSize = isPresent(fields.head_dim) ? size(fields, 'head_dim') : hiddenSize / heads;
  if (headSize % 2 !== 0) throw refused('head_dim', 'an even number, because RoPE rotates pairs', headSize);
  return headSize;
}

/** The theta of plain RoPE, from the old layout (`rope_theta`, `rope_scaling`) or the newer one (`rope_parameters`). */
function ropeThetaOf(fields: Json): number {
  for (const name of ['rope_scaling', 'rope_parameters']) {
    const rope = fields[name];
    if (!isPresent(rope)) continue;
    if (typeof rope !== 'object') throw refused(name, 'an object or null', rope);
    const kind = (rope as Json).rope_type ?? (rope as Json).type ?? 'default';
    if (kind !== 'default') throw refused(`${name}.rope_type`, "'default': scaled RoPE is not implemented", kind);
  }
  const parameters = (fields.rope_parameters ?? {}) as Json;
  for (const source of [fields, parameters]) expectValue(source, 'partial_rotary_factor', 1);
  if (isPresent(parameters.rope_theta)) return positive(parameters, 'rope_theta', 10_000, 'rope_parameters.');
  return positive(fields, 'rope_theta', 10_000);
}

function refuseSlidingWindow(fields: Json, layers: number): void {
  if (flag(fields, 'use_sliding_window', false) && isPresent(fields.sliding_window)) {
    const fullLayers = isPresent(fields.max_window_layers) ? Number(fields.max_window_layers) : 0;
    if (!(fullLayers >= layers)) throw refused('use_sliding_window', 'false: sliding-window attention is not implemented', true);
  }
  if (isPresent(fields.layer_types)) {
    const types = fields.layer_types;
    if (!Array.isArray(types) || types.some((type) => type !== 'full_attention')) {
      throw refused('layer_types', "'full_attention' for every layer", types);
    }
  }
}

function size(fields: Json, field: string, largest = largestSize): number {
  const value = fields[field];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > largest) {
    throw refused(field, `an integer from 1 to ${largest}`, value);
  }
  return value;
}

function positive(fields: Json, field: string, whenAbsent: number, prefix = ''): number {
  const value = isPresent(fields[field]) ? fields[field] : whenAbsent;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) throw refused(prefix + field, 'a positive number', value);
  return value;
}

function flag(fields: Json, field: string, whenAbsent: boolean): boolean {
  const value = isPresent(fields[field]) ? fields[field] : whenAbsent;
  if (typeof value !== 'boolean') throw refused(field, 'true or false', value);
  return value;
}

function tokenIds(fields: Json, field: string): number[] | undefined {
  const value = fields[field];
  if (!isPresent(value)) return undefined;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (ids.length === 0 || ids.some((id) => !Number.isInteger(id) || (id as number) < 0)) {
    throw refused(field, 'a token id or a list of them', value);
  }
  return ids as number[];
}

function expectValue(fields: Json, field: string, expected: unknown): void {
  if (isPresent(fields[field]) && fields[field] !== expected) throw refused(field, JSON.stringify(expected), fields[field]);
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function refused(field: string, expected: string, found: unknown): RlpaError {
  const shown = typeof found === 'number' ? String(found) : (JSON.stringify(found) ?? 'nothing');
  return new RlpaError('invalid-model', `Model configuration, ${field}: expected ${expected}, found ${shown.slice(0, 200)}.`, {
    field,
    expected,
    found,
  });
}
