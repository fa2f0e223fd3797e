import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RlpaError } from '../errors';
import {
  assertFinite,
  ChatTemplate,
  checkShapes,
  checkTokenizerFits,
  isRedundantTensor,
  isShardName,
  type ModelConfig,
  type ModelFolder,
  modelFiles,
  parameterShapes,
  parseModelConfig,
  parseShardIndex,
  planShards,
  type TensorSource,
  type TensorToStore,
  Tokenizer,
  toFloat32Array,
  toHuggingFaceConfig,
  toStoredTensor,
} from '../transformer/index';
import { fileError } from './file-error';
import { checkFolderPath, removeFile } from './folder';
import { readJson, readText } from './read-json';
import { openSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors-file';
import { writeJsonWhole, writeWhole } from './write-whole';

/**
 * Reads a Hugging Face folder of a Qwen2 or Llama model: configuration, tokenizer and the place of every weight, all checked against
 * each other. The weights themselves are read when asked for, one tensor at a time.
 *
 * @throws RlpaError `invalid-file` for what is missing, truncated or not of its format; `invalid-model` for a configuration that is not
 *   implemented, tensors that do not fit it, or a tokenizer with more tokens than the embedding; `file-failed` for what the system refuses
 */
export async function readModelFolder(path: string): Promise<ModelFolder> {
  await requireFolder(path);
  const files = await readdir(path);
  const config = parseModelConfig(await readJson(join(path, modelFiles.config)));
  const tensors = await weightsOf(path, files, config);
  const generationConfig = files.includes(modelFiles.generationConfig)
    ? ((await readJson(join(path, modelFiles.generationConfig))) as Readonly<Record<string, unknown>>)
    : undefined;
  const eosTokenIds = [...new Set([...(config.eosTokenIds ?? []), ...eosTokenIdsOf(generationConfig)])];
  return { path, config, tensors, eosTokenIds, ...(generationConfig && { generationConfig }), ...(await tokenizerOf(path, files, config)) };
}

export interface ModelToWrite {
  readonly config: ModelConfig;
  /** Every parameter of {@link parameterShapes}. */
  readonly tensors: ReadonlyMap<string, TensorToStore>;
  readonly tokenizer?: Tokenizer;
  /** The template to go with the tokenizer where its own configuration has none or another. */
  readonly chatTemplate?: ChatTemplate;
  readonly generationConfig?: Readonly<Record<string, unknown>>;
  /** Larger models are divided over several files; 5 GB by default, as in transformers. */
  readonly maxShardBytes?: number;
}

/**
 * Writes a model as a Hugging Face folder that transformers, vLLM and {@link readModelFolder} read. Each file is written whole;
 * nothing is written when the tensors do not fit the configuration.
 *
 * @throws RlpaError `invalid-option` for an empty path, `invalid-model`, `file-failed`
 */
export async function writeModelFolder(path: string, model: ModelToWrite): Promise<void> {
  const { config, tensors, tokenizer, generationConfig, maxShardBytes = 5e9 } = model;
  checkFolderPath(path);
  const stored = new Map([...tensors].map(([name, tensor]) => [name, toStoredTensor(tensor, name)]));
  checkShapes(parameterShapes(config), shapesOf(stored), path);
  if (tokenizer !== undefined) checkTokenizerFits(tokenizer, config, path);

  const plan = planShards(new Map([...stored].map(([name, { data }]) => [name, data.byteLength])), maxShardBytes);
  for (const [file, names] of plan.files) {
    await writeSafetensors(join(path, file), new Map(names.map((name) => [name, stored.get(name)!])), { format: 'pt' });
  }
  if (plan.index !== undefined) await writeJsonWhole(join(path, modelFiles.index), plan.index);
  await removeOtherWeights(path, [...plan.files.keys(), ...(plan.index === undefined ? [] : [modelFiles.index])]);
  if (tokenizer !== undefined) await writeTokenizer(path, tokenizer, model.chatTemplate);
  if (generationConfig !== undefined) await writeJsonWhole(join(path, modelFiles.generationConfig), generationConfig);
  await writeJsonWhole(join(path, modelFiles.config), toHuggingFaceConfig(config));
}

/** Writes tokenizer.json and tokenizer_config.json, the latter with the template where one is given. */
export async function writeTokenizer(path: string, tokenizer: Tokenizer, chatTemplate?: ChatTemplate): Promise<void> {
  await writeWhole(join(path, modelFiles.tokenizer), JSON.stringify(tokenizer.json));
  const template = chatTemplate === undefined ? {} : { chat_template: chatTemplate.source };
  await writeJsonWhole(join(path, modelFiles.tokenizerConfig), { ...tokenizer.config, ...template });
  // The separate file would win over the template just written.
  if (chatTemplate !== undefined) await removeFile(join(path, modelFiles.chatTemplate));
}

/** Refuses a path where there is no folder. */
export async function requireFolder(path: string): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    throw fileError(path, cause);
  });
  if (!found.isDirectory()) throw new RlpaError('invalid-file', `${path}: expected a folder, found a file.`, { file: path });
}

/** A source that reads from several files, each tensor converted to float32 and checked to be finite. */
export function tensorSource(files: ReadonlyMap<string, { readonly file: SafetensorsFile; readonly name: string }>): TensorSource {
  return {
    shapes: new Map([...files].map(([tensor, { file, name }]) => [tensor, file.entries.get(name)!.shape])),
    async read(tensor, signal) {
      const place = files.get(tensor);
      if (place === undefined) throw new RlpaError('invalid-model', `There is no tensor '${tensor}'.`, { tensor });
      const values = toFloat32Array(await place.file.read(place.name, signal));
      assertFinite(values, place.name, place.file.path);
      return values;
    },
  };
}

async function weightsOf(path: string, files: readonly string[], config: ModelConfig): Promise<TensorSource> {
  const single = files.includes(modelFiles.weights);
  const places = single ? await singleFile(path) : await shards(path, files);
  for (const name of places.keys()) if (isRedundantTensor(name, config)) places.delete(name);
  const source = tensorSource(places);
  const listed = join(path, single ? modelFiles.weights : modelFiles.index);
  checkShapes(parameterShapes(config), source.shapes, (tensor) => places.get(tensor)?.file.path ?? listed);
  for (const [name, { file }] of places) {
    const { dtype } = file.entries.get(name)!;
    if (!['F32', 'F16', 'BF16', 'F64'].includes(dtype)) {
      throw new RlpaError('invalid-model', `${file.path}: tensor '${name}': expected floating-point values, found ${dtype}.`, {
        tensor: name,
        found: dtype,
      });
    }
  }
  return source;
}

type Places = Map<string, { readonly file: SafetensorsFile; readonly name: string }>;

async function singleFile(path: string): Promise<Places> {
  const file = await openSafetensors(join(path, modelFiles.weights));
  return new Map([...file.entries.keys()].map((name) => [name, { file, name }]));
}

async function shards(path: string, files: readonly string[]): Promise<Places> {
  if (!files.includes(modelFiles.index)) {
    throw new RlpaError('invalid-file', `${path}: expected ${modelFiles.weights} or ${modelFiles.index}, found neither.`, { file: path });
  }
  const indexPath = join(path, modelFiles.index);
  const index = parseShardIndex(await readJson(indexPath), indexPath);
  const opened = new Map<string, SafetensorsFile>();
  for (const shard of new Set(index.values())) {
    if (!files.includes(shard)) {
      throw new RlpaError('invalid-file', `${path}: the shard ${shard}, named by ${modelFiles.index}, is missing.`, {
        file: join(path, shard),
      });
    }
    opened.set(shard, await openSafetensors(join(path, shard)));
  }
  const places: Places = new Map();
  for (const [name, shard] of index) {
    const file = opened.get(shard)!;
    if (!file.entries.has(name)) {
      throw new RlpaError('invalid-file', `${indexPath}: tensor '${name}' is said to be in ${shard}, which does not hold it.`, {
        file: indexPath,
        tensor: name,
      });
    }
    places.set(name, { file, name });
  }
  return places;
}

async function tokenizerOf(
  path: string,
  files: readonly string[],
  config: ModelConfig,
): Promise<{ tokenizer?: Tokenizer; chatTemplate?: ChatTemplate }> {
  if (!files.includes(modelFiles.tokenizer)) return {};
  const json = await readJson(join(path, modelFiles.tokenizer));
  const tokenizerConfig = files.includes(modelFiles.tokenizerConfig) ? await readJson(join(path, modelFiles.tokenizerConfig)) : {};
  const tokenizer = Tokenizer.fromJSON(json, tokenizerConfig);
  checkTokenizerFits(tokenizer, config, path);
  const source = files.includes(modelFiles.chatTemplate) ? await readText(join(path, modelFiles.chatTemplate)) : undefined;
  return { tokenizer, chatTemplate: ChatTemplate.of(tokenizer, source) };
}

function eosTokenIdsOf(generationConfig: Readonly<Record<string, unknown>> | undefined): number[] {
  const value = generationConfig?.eos_token_id;
  const ids: unknown[] = value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
  for (const id of ids) {
    if (!Number.isInteger(id) || (id as number) < 0) {
      throw new RlpaError(
        'invalid-model',
        `${modelFiles.generationConfig}, eos_token_id: expected token ids, found ${JSON.stringify(value)}.`,
        {
          field: 'eos_token_id',
          found: value,
        },
      );
    }
  }
  return ids as number[];
}

/** Weights of an earlier save in another layout: left behind they would be read instead of, or beside, the new ones. */
async function removeOtherWeights(path: string, kept: readonly string[]): Promise<void> {
  for (const file of await readdir(path)) {
    const isWeights = file === modelFiles.weights || file === modelFiles.index || isShardName(file);
    if (isWeights && !kept.includes(file)) await removeFile(join(path, file));
  }
}

function shapesOf(tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): Map<string, readonly number[]> {
  return new Map([...tensors].map(([name, { shape }]) => [name, shape]));
}
