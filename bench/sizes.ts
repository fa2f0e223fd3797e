import type { ModelConfig } from '../src/transformer/index';

/** A model and the work that is measured on it. */
export interface BenchSize {
  readonly name: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabularySize: number;
  /** Sequences of an update, and dialogues that are sampled at once. */
  readonly rows: number;
  /** Tokens of each sequence of an update. */
  readonly length: number;
  /** How many of them are the policy's own, and trained on: the last ones. */
  readonly actions: number;
  /** Tokens that a sampled dialogue begins with, and that are sampled. */
  readonly prompt: number;
  readonly sampled: number;
  /** Rank of an adapter on all projections, which alone is trained. */
  readonly lora?: number;
}

const vocabularySize = 1024;

export const sizes: readonly BenchSize[] = [
  {
    name: 'tiny',
    layers: 4,
    hiddenSize: 192,
    intermediateSize: 512,
    heads: 6,
    kvHeads: 2,
    vocabularySize,
    rows: 64,
    length: 192,
    actions: 191,
    prompt: 128,
    sampled: 64,
  },
  {
    name: 'demo',
    layers: 2,
    hiddenSize: 128,
    intermediateSize: 256,
    heads: 4,
    kvHeads: 1,
    vocabularySize,
    rows: 32,
    length: 448,
    actions: 224,
    prompt: 384,
    sampled: 64,
  },
];

const halfBillion = {
  layers: 24,
  hiddenSize: 896,
  intermediateSize: 4864,
  heads: 14,
  kvHeads: 2,
  vocabularySize: 151_936,
  prompt: 32,
  lora: 16,
};

/** Qwen2.5-0.5B's sizes; `work` is what is measured of each. */
export const largeSizes: readonly (BenchSize & { readonly work: 'update' | 'sampling' })[] = [
  { ...halfBillion, name: '0.5B', work: 'update', rows: 1, length: 512, actions: 511, sampled: 1 },
  { ...halfBillion, name: '0.5B', work: 'update', rows: 4, length: 256, actions: 255, sampled: 1 },
  { ...halfBillion, name: '0.5B', work: 'sampling', rows: 16, length: 32, actions: 1, sampled: 17 },
  { ...halfBillion, name: '0.5B', work: 'sampling', rows: 1, length: 32, actions: 1, sampled: 33 },
];

type GpuSize = BenchSize & { readonly works: readonly ('update' | 'sampling')[] };

const onGpu = { rows: 8, length: 512, actions: 511, prompt: 128, sampled: 64 };
const { lora: _, ...halfBillionWhole } = halfBillion;
/** Qwen2.5-1.5B's. */
const oneAndAHalfBillion = {
  layers: 28,
  hiddenSize: 1536,
  intermediateSize: 8960,
  heads: 12,
  kvHeads: 2,
  vocabularySize: 151_936,
  lora: 16,
};

/** What is measured on a GPU, the most telling first. */
export const gpuSizes: readonly GpuSize[] = [
  { ...sizes[0]!, works: ['update', 'sampling'] },
  { ...halfBillion, ...onGpu, name: '0.5B', works: ['update'] },
  { ...halfBillion, ...onGpu, name: '0.5B', rows: 64, works: ['sampling'] },
  { ...halfBillionWhole, ...onGpu, name: '0.5B whole', works: ['update'] },
  { ...oneAndAHalfBillion, ...onGpu, name: '1.5B', works: ['update'] },
];

const forSoftware = { ...sizes[1]!, layers: 1, vocabularySize: 320, rows: 2, length: 32, actions: 31, prompt: 8, sampled: 8 };

/** The same works so small that a software adapter does them. */
export const smokeSizes: readonly GpuSize[] = [
  { ...forSoftware, name: 'smoke', works: ['update', 'sampling'] },
  { ...forSoftware, name: 'smoke LoRA', lora: 4, works: ['update'] },
];

export function configOf(size: BenchSize): ModelConfig {
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, vocabularySize } = size;
  return {
    architecture: 'qwen2',
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    kvHeads,
    headSize: hiddenSize / heads,
    vocabularySize,
    maxPositions: 512,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 10_000,
    tiedEmbeddings: true,
    attentionBias: true,
    attentionOutputBias: false,
  };
}

/**
 * Multiplications and additions that the work cannot do without. Projections: 2 a weight and token. Attention: 4·heads·headSize for each
 * pair of a token and one that it sees. The head: 2·V·d for each token whose distribution is wanted. Backward: twice the forward pass, or
 * once where the weights themselves have no gradient. What an adapter of a low rank adds is left out.
 */
export function floatingPointOperations(size: BenchSize): { readonly sampling: number; readonly prefill: number; readonly update: number } {
  const { hiddenSize: d, intermediateSize, layers, heads, kvHeads, rows, length, actions, prompt, sampled, vocabularySize } = size;
  const headSize = d / heads;
  const projections = 2 * layers * (2 * d * d + 2 * d * kvHeads * headSize + 3 * d * intermediateSize);
  const pair = 4 * layers * heads * headSize;
  const head = 2 * vocabularySize * d;
  const pairs = (tokens: number) => (tokens * (tokens + 1)) / 2;
  const forward = length * projections + pairs(length) * pair + actions * head;
  return {
    prefill: rows * (prompt * projections + pairs(prompt) * pair + head),
    sampling: rows * ((sampled - 1) * (projections + head) + (pairs(prompt + sampled - 1) - pairs(prompt)) * pair),
    update: (size.lora === undefined ? 3 : 2) * rows * forward,
  };
}
