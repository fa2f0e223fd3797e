import type { Random } from '../random';
import { initialWeights, type ModelConfig } from '../transformer/index';

/** How many tokens back the heads of the first layer look to begin with. */
const distances = [1, 2, 3, 1];
/** Score of the place that a head looks at when all rotary angles agree, in nats. */
const sharpness = 8;
/** How much larger than random ones the weights are that compare tokens. */
const comparing = 2;
/** Share of what is found that is passed on. */
const passing = 0.7;

/** It takes two layers, biases in the attention, and a key/value head for each head. */
export function canStartCopying({ layers, heads, kvHeads, attentionBias }: ModelConfig): boolean {
  return layers >= 2 && heads === kvHeads && attentionBias;
}

/**
 * Random weights for a new model whose first two layers begin as an induction circuit (Olsson et al. 2022), which pretrained models have
 * and which a new one takes thousands of steps to find:
 * - Heads of the first layer look back by fixed distances. Their query bias is their key bias turned by the rotary angle of that distance,
 *   so that the score Σ cos(θᵢ(Δ − distance)) is highest there.
 * - Heads of the second layer look for what stands after an earlier occurrence of the current token. Their queries read the current token
 *   as a head of the first layer read the one before, and their keys read what that head wrote.
 * - What they find is what they say: their output projection is the transposed value projection.
 *
 * Training moves these weights like all others.
 *
 * @param config one that {@link canStartCopying}
 */
export function copyingWeights(config: ModelConfig, random: Random): ReturnType<typeof initialWeights> {
  const weights = initialWeights(config, random);
  const { headSize, heads, hiddenSize, ropeTheta } = config;
  const of = (layer: number, name: string) => weights.get(`model.layers.${layer}.self_attn.${name}`)!.data;

  const pairs = headSize / 2;
  const bias = Math.sqrt(sharpness * Math.sqrt(headSize));
  const distanceOf = (head: number) => distances[head % distances.length]!;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < pairs; i++) {
      const angle = distanceOf(head) * ropeTheta ** (-i / pairs);
      of(0, 'q_proj.bias')[head * headSize + i] = bias * Math.cos(angle);
      of(0, 'q_proj.bias')[head * headSize + pairs + i] = -bias * Math.sin(angle);
      of(0, 'k_proj.bias')[head * headSize + i] = bias;
    }
  }

  const width = heads * headSize;
  for (let row = 0; row < width; row++) {
    const looksBackByOne = distanceOf(Math.floor(row / headSize)) === 1;
    for (let column = 0; column < hiddenSize; column++) {
      const [across, down] = [row * hiddenSize + column, column * width + row];
      if (looksBackByOne) {
        of(1, 'q_proj.weight')[across] = comparing * of(0, 'v_proj.weight')[across]!;
        // what the first layer's head wrote is smaller than what it read
        of(1, 'k_proj.weight')[across] = 2 * comparing * of(0, 'o_proj.weight')[down]!;
      }
      of(1, 'o_proj.weight')[down] = passing * of(1, 'v_proj.weight')[across]!;
    }
  }
  return weights;
}
