import {
  type AttentionShape,
  adamw,
  adamwScalars,
  add,
  attention,
  cachedAttention,
  clipByGlobalNorm,
  Graph,
  gather,
  gradients,
  headLogProbability,
  type Node,
  type Shape,
  type SupportLimits,
  sampleHead,
  select,
  type Tensor,
} from '../tensor/index';
import { decoder, headWeight, type LoraConfig, type ModelConfig, valueHead } from '../transformer/index';
import { crossEntropyLoss, ppoLoss } from './losses';

/** What is computed: the base model, or the base with its adapter; and what sampling may choose from. */
export interface ModelForm {
  readonly config: ModelConfig;
  readonly lora?: LoraConfig;
  readonly limits?: SupportLimits;
  /** Layers are computed again in the backward pass instead of being kept. */
  readonly checkpointing?: boolean;
}

/** Sizes that a training program is compiled for. */
export interface BatchShape {
  readonly rows: number;
  readonly length: number;
  /** Action tokens, padded. */
  readonly actions: number;
  readonly segmented: boolean;
}

/** Name of the buffer that gathers a parameter's gradient. */
export const gradientBuffer = (name: string) => `gradient ${name}`;
export const meanBuffer = (name: string) => `mean ${name}`;
export const varianceBuffer = (name: string) => `variance ${name}`;

/** Hidden states before each action token, with their log-probabilities, entropies and values, each [M]. */
function scoredActions(graph: Graph, form: ModelForm, { rows, length, actions, segmented }: BatchShape) {
  const { config } = form;
  const count = rows * length;
  const shape: AttentionShape = { batch: rows, length, heads: config.heads, kvHeads: config.kvHeads, headSize: config.headSize };
  const segments = segmented ? graph.input('segments', [count], 'i32') : undefined;
  const hidden = decoder(graph, config, {
    tokens: graph.input('tokens', [count], 'i32'),
    positions: graph.input('positions', [count], 'i32'),
    attend: (_, queries, keys, values) => attention(queries, keys, values, shape, segments),
    lora: form.lora,
  });
  const chosen = gather(hidden, graph.input('predictors', [actions], 'i32'));
  const targets = graph.input('targets', [actions], 'i32');
  const head = graph.within('head', () =>
    headLogProbability(chosen, headWeight(graph, config), targets, graph.input('temperature', []), form.limits),
  );
  const values = graph.within('value head', () => valueHead(graph, chosen));
  return { ...head, values };
}

function outputActions(graph: Graph, { logProbabilities, entropies, values }: ReturnType<typeof scoredActions>): void {
  graph.output('logProbs', logProbabilities);
  graph.output('entropies', entropies);
  graph.output('values', values);
}

/** Log-probabilities, entropies and values of given tokens. */
export function scoreGraph(form: ModelForm, shape: BatchShape): Graph {
  const graph = new Graph();
  outputActions(graph, scoredActions(graph, form, shape));
  return graph;
}

/** Adds the gradient of the PPO loss to the gradient buffers. */
export async function ppoGraph(
  form: ModelForm,
  shape: BatchShape,
  klLoss: 'k2' | 'k3',
  trainable: ReadonlyMap<string, Shape>,
): Promise<Graph> {
  const graph = new Graph();
  const scored = scoredActions(graph, form, shape);
  const column = (name: string) => graph.input(name, [shape.actions]);
  const scalar = (name: string) => graph.input(name, []);
  const terms = {
    ...scored,
    oldLogProbabilities: column('oldLogProbs'),
    referenceLogProbabilities: column('referenceLogProbs'),
    oldValues: column('oldValues'),
    advantages: column('advantages'),
    returns: column('returns'),
    weights: column('weights'),
  };
  const scalars = {
    clip: scalar('clip'),
    valueClip: scalar('valueClip'),
    valueCoefficient: scalar('valueCoefficient'),
    entropyCoefficient: scalar('entropyCoefficient'),
    klLossCoefficient: scalar('klLossCoefficient'),
  };
  await accumulate(
    graph,
    graph.within('loss', () => ppoLoss(terms, scalars, klLoss)),
    trainable,
    form,
  );
  outputActions(graph, scored);
  return graph;
}

/** Adds the gradient of the masked cross-entropy to the gradient buffers. */
export async function crossEntropyGraph(form: ModelForm, shape: BatchShape, trainable: ReadonlyMap<string, Shape>): Promise<Graph> {
  const graph = new Graph();
  const { logProbabilities } = scoredActions(graph, form, shape);
  await accumulate(graph, crossEntropyLoss(logProbabilities, graph.input('weights', [shape.actions])), trainable, form);
  graph.output('logProbs', logProbabilities);
  return graph;
}

const layerOf = ({ scope }: Node) => /^layers\.\d+/.exec(scope)?.[0];

async function accumulate(graph: Graph, loss: Tensor, trainable: ReadonlyMap<string, Shape>, { checkpointing }: ModelForm): Promise<void> {
  graph.output('loss', loss);
  const names = [...trainable.keys()];
  const found = await gradients(
    loss,
    names.map((name) => graph.buffer(name, trainable.get(name)!)),
    checkpointing ? layerOf : undefined,
  );
  names.forEach((name, index) => {
    const gradient = found[index];
    if (!gradient) return;
    const buffer = gradientBuffer(name);
    graph.assign(buffer, add(graph.buffer(buffer, gradient.shape), gradient));
  });
}

/** A group of parameters that take their AdamW step with the same scalars. */
export type ParameterGroup = 'decayed' | 'plain' | 'value';

/** One AdamW step for all parameters, after clipping by their global norm. Inputs: `limit`, and for each group its scalars. */
export function updateGraph(trainable: ReadonlyMap<string, Shape>, groupOf: (name: string) => ParameterGroup): Graph {
  const graph = new Graph();
  const gradient = (name: string, shape: Shape) => graph.buffer(gradientBuffer(name), shape);
  const { norm, factor } = clipByGlobalNorm(
    [...trainable].map(([name, shape]) => gradient(name, shape)),
    graph.input('limit', []),
  );
  const scalars = new Map<ParameterGroup, Tensor>();
  for (const [name, shape] of trainable) {
    const group = groupOf(name);
    if (!scalars.has(group)) scalars.set(group, graph.input(group, [adamwScalars.length]));
    const state = {
      parameter: graph.buffer(name, shape),
      gradient: gradient(name, shape),
      mean: graph.buffer(meanBuffer(name), shape),
      variance: graph.buffer(varianceBuffer(name), shape),
    };
    const next = adamw(state, factor, scalars.get(group)!);
    graph.assign(name, next.parameter);
    graph.assign(meanBuffer(name), next.mean);
    graph.assign(varianceBuffer(name), next.variance);
  }
  graph.output('norm', norm);
  return graph;
}

/** Sizes that a sampling program is compiled for. */
export interface ExtendShape {
  /** Rows of the cache: all, or the first ones. */
  readonly rows: number;
  /** How many of them are computed, where not all are; never where `length` is 1. */
  readonly chosen?: number;
  /** New tokens a row: 1 when decoding. */
  readonly length: number;
  /** Entries that the cache has room for. */
  readonly capacity: number;
  /** Most entries that any of the computed rows has there before, or more; with none the new tokens see each other only. */
  readonly filled: number;
  readonly greedy: boolean;
}

export const cacheBuffer = (layer: number, part: 'keys' | 'values') => `cache ${layer} ${part}`;
/** [rows] i32: the token that was sampled last for each row of the cache, which is the next to be fed to it. */
export const lastTokensBuffer = 'cache tokens';

/**
 * Feeds new tokens to rows with a cache, extends the caches, and samples each row's next token from the last of its new ones. Where `length`
 * is 1 they are those that were sampled last, which never leave the device; otherwise they are given. With `chosen` that many rows are computed:
 * `chosen` names the cache row of each, no two alike.
 */
export function extendGraph(form: ModelForm, { rows, chosen, length, capacity, filled, greedy }: ExtendShape): Graph {
  const graph = new Graph();
  const { config } = form;
  const { kvHeads, headSize } = config;
  const batch = chosen ?? rows;
  const lengths = graph.input('lengths', [batch], 'i32');
  const counts = graph.input('counts', [batch], 'i32');
  const shape: AttentionShape = { batch, length, heads: config.heads, kvHeads, headSize };
  const subset = chosen === undefined ? undefined : graph.input('chosen', [chosen], 'i32');
  const held = graph.buffer(lastTokensBuffer, [rows], 'i32');
  const hidden = decoder(graph, config, {
    tokens: length === 1 ? held : graph.input('tokens', [batch * length], 'i32'),
    // a single token stands after what its row holds
    positions: length === 1 ? lengths : graph.input('positions', [batch * length], 'i32'),
    attend: (layer, queries, keys, values) => {
      const cached = (part: 'keys' | 'values', value: Tensor) => {
        const buffer = cacheBuffer(layer, part);
        graph.append({ buffer, value, offsets: lengths, counts, rows: subset });
        return graph.buffer(buffer, [rows, kvHeads, capacity, headSize]);
      };
      const cache = { keys: cached('keys', keys), values: cached('values', values), lengths, rows: subset, filled };
      return filled === 0 ? attention(queries, keys, values, shape) : cachedAttention(queries, keys, values, cache, shape);
    },
    lora: form.lora,
  });
  const last = length === 1 ? hidden : gather(hidden, graph.input('last', [batch], 'i32'));
  const sampled = sampleHead(last, headWeight(graph, config), graph.input('uniform', [batch]), graph.input('temperature', []), {
    ...form.limits,
    greedy,
  });
  graph.assign(lastTokensBuffer, select(counts, sampled.tokens, held, subset));
  graph.output('tokens', sampled.tokens);
  graph.output('logProbs', sampled.logProbabilities);
  graph.output('values', valueHead(graph, last));
  return graph;
}
