import { abortedError, checkKnown, RlpaError, throwIfAborted } from '../errors';
import { withoutTelemetry } from '../telemetry';
import type { ProfileItem } from './item';
import { checkThreshold, type ItemMatcher } from './matching';

/** One vector for each text, all of one length. */
export type TextEmbedder = (texts: readonly string[], signal?: AbortSignal) => Promise<readonly (readonly number[])[]>;

export interface EmbeddingMatcherOptions {
  /** A feature-extraction model for @huggingface/transformers: a local folder, a name on the Hub, or a function that embeds. */
  readonly model: string | TextEmbedder;
  /** Least cosine that counts as the same; it depends on the model. */
  readonly threshold?: number | undefined;
  /** How many texts keep their embedding. */
  readonly cacheSize?: number | undefined;
}

/**
 * Cosine of the values' embeddings, below 0 taken as 0. Each text is embedded once and kept.
 *
 * @throws `missing-dependency` where @huggingface/transformers is not installed, `invalid-model` where the model cannot be loaded,
 * `model-failed` for embeddings that are not vectors of one length, `aborted`: all from `similarity`. `invalid-option` at once.
 * @example
 * import { embeddingMatcher, ProfileSchema, profileF1 } from 'rlpa';
 * const { standard } = ProfileSchema;
 * const matcher = embeddingMatcher({ model: './all-MiniLM-L6-v2', threshold: 0.6 });
 * await profileF1(standard.profile({ occupation: 'nurse' }), standard.profile({ occupation: 'works on a ward' }), { matcher });
 */
export function embeddingMatcher(options: EmbeddingMatcherOptions): ItemMatcher {
  checkKnown('embeddingMatcher', options, { model: true, threshold: true, cacheSize: true });
  const { model, threshold = 0.6, cacheSize = 10_000 } = options;
  checkThreshold('embeddingMatcher', threshold);
  const cache = new Map<string, readonly number[]>();
  let loading: Promise<TextEmbedder> | undefined;

  function load(): Promise<TextEmbedder> {
    if (typeof model === 'function') return Promise.resolve(model);
    loading ??= loadEmbedder(model).catch((error) => {
      loading = undefined; // the next call may find the file or the network back
      throw error;
    });
    return loading;
  }

  async function embed(texts: readonly string[], signal?: AbortSignal): Promise<Map<string, readonly number[]>> {
    const missing = texts.filter((text) => !cache.has(text));
    const vectors = new Map(texts.flatMap((text) => (cache.has(text) ? [[text, cache.get(text)!] as const] : [])));
    if (missing.length === 0) return vectors;
    const embedded = await untilAborted(
      load().then((embedder) => embedder(missing, signal)),
      signal,
    );
    checkVectors(embedded, missing.length);
    if (cache.size + missing.length > cacheSize) cache.clear();
    for (const [index, text] of missing.entries()) {
      const unit = unitVector(embedded[index]!);
      vectors.set(text, unit);
      if (cache.size < cacheSize) cache.set(text, unit);
    }
    return vectors;
  }

  return {
    name: 'embedding',
    threshold,
    async similarity(pairs, signal) {
      throwIfAborted(signal);
      const texts = new Set(pairs.flatMap(([a, b]: readonly ProfileItem[]) => [a!.text, b!.text]));
      const vectors = await embed([...texts], signal);
      return pairs.map(([a, b]) => Math.min(1, Math.max(0, dot(vectors.get(a.text)!, vectors.get(b.text)!))));
    },
  };
}

async function loadEmbedder(model: string): Promise<TextEmbedder> {
  let transformers: typeof import('@huggingface/transformers');
  try {
    withoutTelemetry();
    transformers = await import('@huggingface/transformers');
  } catch (cause) {
    const message =
      'embeddingMatcher needs the package @huggingface/transformers, which is not installed: npm install @huggingface/transformers';
    throw new RlpaError('missing-dependency', message, { package: '@huggingface/transformers' }, { cause });
  }
  try {
    const extract = await transformers.pipeline('feature-extraction', model);
    return async (texts) => (await extract([...texts], { pooling: 'mean' })).tolist() as number[][];
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RlpaError('invalid-model', `The feature-extraction model "${model}" could not be loaded: ${reason}`, { model }, { cause });
  }
}

/** The embedder's answer, or the abort: what cannot be cancelled is at least not waited for. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(abortedError(signal!));
    signal?.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } catch (error) {
    if (RlpaError.isInstance(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new RlpaError('model-failed', `The embedding model failed: ${reason}`, {}, { cause: error });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function checkVectors(vectors: readonly (readonly number[])[], count: number): void {
  const length = vectors[0]?.length ?? 0;
  const sound =
    vectors.length === count && length > 0 && vectors.every((vector) => vector.length === length && vector.every(Number.isFinite));
  if (!sound)
    throw new RlpaError(
      'model-failed',
      `The embedding model was given ${count} texts and did not answer with ${count} finite vectors of one length.`,
    );
}

function unitVector(vector: readonly number[]): readonly number[] {
  const norm = Math.sqrt(dot(vector, vector));
  return norm > 0 ? vector.map((entry) => entry / norm) : vector;
}

function dot(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
