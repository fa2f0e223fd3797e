import { checkKnown, invalidOption } from '../errors';
import type { Random } from '../random';
import { add, matmul, type Shape, scale, type Tensor } from '../tensor/index';
import type { ModelConfig } from './config';

/** The seven projections that an adapter can stand on. */
export const projections = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
export type Projection = (typeof projections)[number];

/** A low-rank adapter (Hu et al. 2021): y = W·x + (alpha/rank)·B·A·x. Only A and B are trained. */
export interface LoraConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly Projection[];
}

/** Fills in the defaults (alpha = 2·rank, all projections) and refuses what cannot be (`invalid-option`). */
export function loraConfig(options: {
  readonly rank: number;
  readonly alpha?: number;
  readonly targets?: readonly Projection[];
}): LoraConfig {
  checkKnown('lora', options, { rank: true, alpha: true, targets: true });
  const { rank, alpha = 2 * rank, targets = projections } = options;
  if (!Number.isInteger(rank) || rank < 1) throw invalidOption('LocalPolicy', 'lora.rank', 'a whole number of at least 1', rank);
  if (!Number.isFinite(alpha) || alpha <= 0) throw invalidOption('LocalPolicy', 'lora.alpha', 'a finite number above 0', alpha);
  const unknown = targets.find((target) => !projections.includes(target));
  if (unknown !== undefined || targets.length === 0)
    throw invalidOption('LocalPolicy', 'lora.targets', `some of ${projections.join(', ')}`, unknown ?? targets);
  // in one order, so that the same adapter is described alike wherever it comes from
  return { rank, alpha, targets: projections.filter((projection) => targets.includes(projection)) };
}

const placeOf = (projection: Projection) =>
  projection.endsWith('_proj') && ['q', 'k', 'v', 'o'].includes(projection[0]!) && projection.length === 6 ? 'self_attn' : 'mlp';

/** `model.layers.3.self_attn.q_proj`: where a projection's tensors are named. */
export function projectionPrefix(layer: number, projection: Projection): string {
  return `model.layers.${layer}.${placeOf(projection)}.${projection}`;
}

/** [out, in] of a projection. */
export function projectionShape(config: ModelConfig, projection: Projection): readonly [number, number] {
  const { hiddenSize, intermediateSize, heads, kvHeads, headSize } = config;
  switch (projection) {
    case 'q_proj':
      return [heads * headSize, hiddenSize];
    case 'k_proj':
    case 'v_proj':
      return [kvHeads * headSize, hiddenSize];
    case 'o_proj':
      return [hiddenSize, heads * headSize];
    case 'gate_proj':
    case 'up_proj':
      return [intermediateSize, hiddenSize];
    case 'down_proj':
      return [hiddenSize, intermediateSize];
  }
}

/** Adapter tensors by name (`….q_proj.lora_A.weight` [rank, in] and `….lora_B.weight` [out, rank]) with their shapes. */
export function loraShapes(config: ModelConfig, lora: LoraConfig): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (let layer = 0; layer < config.layers; layer++) {
    for (const projection of lora.targets) {
      const [out, into] = projectionShape(config, projection);
      shapes.set(`${projectionPrefix(layer, projection)}.lora_A.weight`, [lora.rank, into]);
      shapes.set(`${projectionPrefix(layer, projection)}.lora_B.weight`, [out, lora.rank]);
    }
  }
  return shapes;
}

/** A uniform in ±1/sqrt(in) as PEFT has it (Kaiming with a = √5), B zero: the adapter starts as the identity. */
export function initialLora(name: string, shape: readonly number[], random: Random): Float32Array {
  const [rows, columns] = shape as [number, number];
  const data = new Float32Array(rows * columns);
  if (name.endsWith('lora_A.weight')) {
    const bound = 1 / Math.sqrt(columns);
    for (let i = 0; i < data.length; i++) data[i] = (2 * random.uniform() - 1) * bound;
  }
  return data;
}

/** Adds the adapter's part to a projection's output. */
export function withLora(output: Tensor, x: Tensor, a: Tensor, b: Tensor, lora: LoraConfig): Tensor {
  // scaled where it is narrow
  const low = scale(matmul(x, a, { transposeB: true }), lora.alpha / lora.rank);
  return add(output, matmul(low, b, { transposeB: true }));
}

/** The base weights with the adapter added to them, W + (alpha/rank)·B·A: the same model without an adapter. */
export function mergeLora(
  weights: ReadonlyMap<string, { readonly shape: Shape; readonly data: Float32Array }>,
  config: ModelConfig,
  { rank, alpha, targets }: LoraConfig,
): Map<string, { readonly shape: Shape; readonly data: Float32Array }> {
  const merged = new Map(weights);
  for (let layer = 0; layer < config.layers; layer++) {
    for (const projection of targets) {
      const prefix = projectionPrefix(layer, projection);
      const a = weights.get(`${prefix}.lora_A.weight`)!.data;
      const b = weights.get(`${prefix}.lora_B.weight`)!.data;
      const { shape, data: base } = weights.get(`${prefix}.weight`)!;
      const [rows, columns] = shape as readonly [number, number];
      const data = new Float32Array(rows * columns);
      const row = new Float64Array(columns);
      for (let i = 0; i < rows; i++) {
        row.set(base.subarray(i * columns, (i + 1) * columns));
        for (let k = 0; k < rank; k++) {
          const factor = (alpha / rank) * b[i * rank + k]!;
          for (let j = 0; j < columns; j++) row[j]! += factor * a[k * columns + j]!;
        }
        data.set(row, i * columns);
      }
      merged.set(`${prefix}.weight`, { shape, data });
      merged.delete(`${prefix}.lora_A.weight`);
      merged.delete(`${prefix}.lora_B.weight`);
    }
  }
  return merged;
}
