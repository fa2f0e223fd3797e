/** What a Hugging Face model folder holds, without the file system: names, shards, and whether the tensors are the model's. */
import { RlpaError } from '../errors';
import type { ChatTemplate } from './chat-template';
import type { ModelConfig } from './config';
import type { Tokenizer } from './tokenizer';

/** The files of a model folder by their fixed names. */
export const modelFiles = {
  config: 'config.json',
  weights: 'model.safetensors',
  index: 'model.safetensors.index.json',
  tokenizer: 'tokenizer.json',
  tokenizerConfig: 'tokenizer_config.json',
  chatTemplate: 'chat_template.jinja',
  generationConfig: 'generation_config.json',
  adapterConfig: 'adapter_config.json',
  adapterWeights: 'adapter_model.safetensors',
  /** Ours: what PPO needs to go on, and no other library reads. */
  valueHead: 'value_head.safetensors',
} as const;

/** Tensors that lie somewhere and are read one at a time. */
export interface TensorSource {
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /**
   * The values of one tensor as float32, whatever type they are stored in.
   *
   * @throws RlpaError `invalid-file` when they are not finite or the file has changed, `aborted`
   */
  read(name: string, signal?: AbortSignal): Promise<Float32Array>;
}

/** A model as it lies in a folder: everything but the weights' values, which `tensors` reads when asked. */
export interface ModelFolder {
  /** Where it lies. */
  readonly path: string;
  readonly config: ModelConfig;
  readonly tensors: TensorSource;
  /** Absent when the folder has no tokenizer.json; then so is `chatTemplate`. */
  readonly tokenizer?: Tokenizer;
  readonly chatTemplate?: ChatTemplate;
  /** `eos_token_id` of config.json and generation_config.json together. */
  readonly eosTokenIds: readonly number[];
  /** The parsed generation_config.json. */
  readonly generationConfig?: Readonly<Record<string, unknown>>;
}

/** Which file holds which tensors. */
export interface ShardPlan {
  readonly files: ReadonlyMap<string, readonly string[]>;
  /** The index to be written beside several files; absent when there is one. */
  readonly index?: Readonly<Record<string, unknown>>;
}

/**
 * Divides tensors over files of at most `maxShardBytes` (a larger tensor gets a file of its own), named as transformers names them.
 *
 * @param byteSizes bytes of each tensor, in the order in which they are to be filled in
 */
export function planShards(byteSizes: ReadonlyMap<string, number>, maxShardBytes: number): ShardPlan {
  const shards: string[][] = [[]];
  let filled = 0;
  let total = 0;
  for (const [name, bytes] of byteSizes) {
    if (filled > 0 && filled + bytes > maxShardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(name);
    filled += bytes;
    total += bytes;
  }
  if (shards.length === 1) return { files: new Map([[modelFiles.weights, shards[0]!]]) };
  const digits = (count: number) => String(count).padStart(5, '0');
  const files = new Map(shards.map((names, i) => [`model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`, names]));
  const weightMap = Object.fromEntries([...files].flatMap(([file, names]) => names.map((name) => [name, file])));
  return { files, index: { metadata: { total_size: total }, weight_map: weightMap } };
}

/** Whether a file of this name is one of several that hold a model's weights. */
export function isShardName(file: string): boolean {
  return /^model-\d{5}-of-\d{5}\.safetensors$/.test(file);
}

/**
 * The file of each tensor, by a parsed model.safetensors.index.json.
 *
 * @throws RlpaError `invalid-file` where it does not map names to files of its own folder
 */
export function parseShardIndex(json: unknown, name: string): Map<string, string> {
  const map = typeof json === 'object' && json !== null ? (json as { weight_map?: unknown }).weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new RlpaError('invalid-file', `${name}: expected an object 'weight_map' from tensor names to files.`, { file: name });
  }
  const files = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    // A path would let a downloaded folder read files elsewhere.
    if (typeof file !== 'string' || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw new RlpaError(
        'invalid-file',
        `${name}: tensor '${tensor}': expected the name of a .safetensors file, found ${JSON.stringify(file)}.`,
        {
          file: name,
          tensor,
        },
      );
    }
    files.set(tensor, file);
  }
  if (files.size === 0) throw new RlpaError('invalid-file', `${name}: expected tensors in 'weight_map', found none.`, { file: name });
  return files;
}

/**
 * Refuses tensors that are not exactly the expected ones.
 *
 * @param where names the file or folder in errors, or the file of each tensor
 * @throws RlpaError `invalid-model` with `details.tensor`, and the expected and found shape where that is the difference
 */
export function checkShapes(
  expected: ReadonlyMap<string, readonly number[]>,
  found: ReadonlyMap<string, readonly number[]>,
  where: string | ((tensor: string) => string),
): void {
  const place = typeof where === 'string' ? () => where : where;
  for (const [tensor, shape] of expected) {
    const actual = found.get(tensor);
    if (actual === undefined) {
      throw new RlpaError('invalid-model', `${place(tensor)}: expected a tensor '${tensor}' of shape [${shape}], found none.`, {
        tensor,
        expected: shape,
      });
    }
    if (actual.length !== shape.length || actual.some((extent, i) => extent !== shape[i])) {
      throw new RlpaError('invalid-model', `${place(tensor)}: tensor '${tensor}': expected shape [${shape}], found [${actual}].`, {
        tensor,
        expected: shape,
        found: actual,
      });
    }
  }
  for (const [tensor, shape] of found) {
    if (!expected.has(tensor)) {
      throw new RlpaError(
        'invalid-model',
        `${place(tensor)}: found a tensor '${tensor}' of shape [${shape}] that the configuration has no place for.`,
        {
          tensor,
          found: shape,
        },
      );
    }
  }
}

/** Tensors that files may hold beside the parameters: constants that old exports stored, and a tied head written out. */
export function isRedundantTensor(name: string, config: ModelConfig): boolean {
  return name.endsWith('.rotary_emb.inv_freq') || (config.tiedEmbeddings && name === 'lm_head.weight');
}

/**
 * Refuses a tokenizer whose ids run over the embedding.
 *
 * @throws RlpaError `invalid-model`
 */
export function checkTokenizerFits(tokenizer: Tokenizer, config: ModelConfig, where: string): void {
  if (tokenizer.size <= config.vocabularySize) return;
  throw new RlpaError(
    'invalid-model',
    `${where}: the tokenizer has ${tokenizer.size} tokens, but the embedding only ${config.vocabularySize} rows (vocab_size).`,
    { expected: config.vocabularySize, found: tokenizer.size },
  );
}
