import type { Random } from '../random';
import { add, type Graph, gather, matmul, rmsNorm, rotary, rotaryAngles, type Shape, sizeOf, swiglu, type Tensor } from '../tensor/index';
import { type ModelConfig, parameterShapes } from './config';
import { type LoraConfig, type Projection, projectionPrefix, projectionShape, withLora } from './lora';

export interface DecoderInputs {
  /** Token ids [N] i32, all rows of the batch one after the other. */
  readonly tokens: Tensor;
  /** Position of each token in its sequence [N] i32. */
  readonly positions: Tensor;
  /** How the queries of a layer meet keys and values: over the batch itself, or over a cache. All are rotated; → [N, heads·size]. */
  readonly attend: (layer: number, queries: Tensor, keys: Tensor, values: Tensor) => Tensor;
  /** The adapter in use; without it the base model is computed. */
  readonly lora?: LoraConfig;
}

/** A Qwen2 or Llama decoder over the graph's buffers, which are named as in Hugging Face checkpoints. → final hidden states [N, d], normalised. */
export function decoder(graph: Graph, config: ModelConfig, { tokens, positions, attend, lora }: DecoderInputs): Tensor {
  const shapes = parameterShapes(config);
  const parameter = (name: string) => graph.buffer(name, shapes.get(name)!);
  const { heads, kvHeads, rmsNormEpsilon } = config;
  const angles = rotaryAngles(positions, config.headSize, config.ropeTheta);
  let hidden = gather(parameter('model.embed_tokens.weight'), tokens);
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const project = (x: Tensor, projection: Projection): Tensor => projectionOf(graph, config, x, layer, projection, lora);
    hidden = graph.within(`layers.${layer}.attention`, () => {
      const x = rmsNorm(hidden, parameter(`${prefix}.input_layernorm.weight`), rmsNormEpsilon);
      const queries = rotary(project(x, 'q_proj'), angles, heads);
      const keys = rotary(project(x, 'k_proj'), angles, kvHeads);
      return add(hidden, project(attend(layer, queries, keys, project(x, 'v_proj')), 'o_proj'));
    });
    hidden = graph.within(`layers.${layer}.mlp`, () => {
      const x = rmsNorm(hidden, parameter(`${prefix}.post_attention_layernorm.weight`), rmsNormEpsilon);
      return add(hidden, project(swiglu(project(x, 'gate_proj'), project(x, 'up_proj')), 'down_proj'));
    });
  }
  return rmsNorm(hidden, parameter('model.norm.weight'), rmsNormEpsilon);
}

function projectionOf(
  graph: Graph,
  config: ModelConfig,
  x: Tensor,
  layer: number,
  projection: Projection,
  lora: LoraConfig | undefined,
): Tensor {
  const prefix = projectionPrefix(layer, projection);
  const [out, into] = projectionShape(config, projection);
  let y = matmul(x, graph.buffer(`${prefix}.weight`, [out, into]), { transposeB: true });
  if (hasBias(config, projection)) y = add(y, graph.buffer(`${prefix}.bias`, [out]));
  if (!lora?.targets.includes(projection)) return y;
  const a = graph.buffer(`${prefix}.lora_A.weight`, [lora.rank, into]);
  const b = graph.buffer(`${prefix}.lora_B.weight`, [out, lora.rank]);
  return withLora(y, x, a, b, lora);
}

function hasBias(config: ModelConfig, projection: Projection): boolean {
  if (projection === 'o_proj') return config.attentionOutputBias;
  return config.attentionBias && (projection === 'q_proj' || projection === 'k_proj' || projection === 'v_proj');
}

/** The output head [V, d]: the embedding matrix where the two are tied. */
export function headWeight(graph: Graph, config: ModelConfig): Tensor {
  const name = config.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  return graph.buffer(name, [config.vocabularySize, config.hiddenSize]);
}

/**
 * Random weights for a new model: normal with standard deviation sqrt(2 / 5d) (SmallInit of Nguyen & Salazar 2019: 0.02 at the width of
 * Qwen2.5-0.5B, more for narrow models, which learn to copy several times sooner by it), the projections that write to the residual stream
 * scaled down by sqrt(2·layers) as in GPT-2, norms one, biases zero.
 */
export function initialWeights(config: ModelConfig, random: Random): Map<string, { shape: Shape; data: Float32Array }> {
  const base = Math.sqrt(2 / (5 * config.hiddenSize));
  const weights = new Map<string, { shape: Shape; data: Float32Array }>();
  for (const [name, shape] of parameterShapes(config)) {
    const data = new Float32Array(sizeOf(shape));
    if (name.includes('norm')) data.fill(1);
    else if (!name.endsWith('.bias')) {
      const residual = name.endsWith('o_proj.weight') || name.endsWith('down_proj.weight');
      const deviation = residual ? base / Math.sqrt(2 * config.layers) : base;
      const stream = random.split('weights', name);
      for (let i = 0; i < data.length; i++) data[i] = stream.normal() * deviation;
    }
    weights.set(name, { shape, data });
  }
  return weights;
}
