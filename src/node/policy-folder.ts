import { readdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { RlpaError } from '../errors';
import type { PolicyToStore, StoredPolicy } from '../policy/index';
import { checkShapes, loraShapes, modelFiles, parameterShapes, type TensorSource, valueHeadShapes } from '../transformer/index';
import { readAdapterFolder, writeAdapterFolder } from './adapter-folder';
import { fileError } from './file-error';
import { checkFolderPath, removeFile } from './folder';
import { readModelFolder, requireFolder, tensorSource, writeModelFolder } from './model-folder';
import { readJson } from './read-json';
import { openSafetensors, writeSafetensors } from './safetensors-file';

type Tensors = Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

/**
 * Reads a policy: a model folder, with an adapter where `adapter` names one or the folder holds one, and a value head where a training
 * left one. A folder with nothing but an adapter stands on the base model that its configuration names. The tensors' values are read when
 * asked for.
 *
 * @throws RlpaError `invalid-file`, `invalid-model`, `file-failed`
 */
export async function readPolicyFolder(folder: string, { adapter }: { readonly adapter?: string } = {}): Promise<StoredPolicy> {
  const places = adapter === undefined ? await placesOf(folder) : { model: folder, adapter };
  const model = await readModelFolder(places.model);
  const { config, tokenizer, chatTemplate: template, eosTokenIds, generationConfig } = model;
  if (tokenizer === undefined) {
    throw new RlpaError('invalid-file', `${places.model}: expected ${modelFiles.tokenizer}, found none: a policy needs its tokenizer.`, {
      file: join(places.model, modelFiles.tokenizer),
    });
  }
  const found = places.adapter === undefined ? undefined : await readAdapterFolder(places.adapter, config);
  const head = await valueHeadOf([places.adapter, places.model], config.hiddenSize);
  const tensors = joined([model.tensors, ...(found ? [found.tensors] : []), ...(head ? [head] : [])]);
  // said absolutely: the working directory may be another when an adapter is to name its base
  const baseModel = resolve(places.model);
  return { config, tokenizer, template, eosTokenIds, generationConfig, tensors, lora: found?.lora, baseModel };
}

/**
 * Writes a policy so that transformers, PEFT and vLLM read it, and {@link readPolicyFolder} gives it back: a whole model in Hugging Face's
 * layout or an adapter in PEFT's, with the value head in a file of its own.
 *
 * @throws RlpaError `invalid-option` for an empty path or an adapter into a folder that holds a model, `invalid-model`, `invalid-file` where
 *   the folder is a file, `file-failed`
 */
export async function writePolicyFolder(folder: string, policy: PolicyToStore): Promise<void> {
  const { config, tokenizer, template, adapter } = policy;
  const pick = (shapes: ReadonlyMap<string, readonly number[]>): Tensors =>
    new Map([...shapes.keys()].flatMap((name) => (policy.weights.has(name) ? [[name, policy.weights.get(name)!] as const] : [])));
  checkFolderPath(folder);
  const files = await filesIn(folder);
  if (adapter !== undefined) {
    if (files.includes(modelFiles.config)) {
      throw new RlpaError(
        'invalid-option',
        `${folder}: expected a folder of the adapter's own, found a model in it, which the adapter would later be put on.`,
        { folder },
      );
    }
    const baseModel = adapter.baseModel === undefined ? undefined : await baseFrom(folder, adapter.baseModel);
    await writeAdapterFolder(folder, { config, tensors: pick(loraShapes(config, adapter.lora)), lora: adapter.lora, baseModel });
  } else {
    // Before the model: an adapter that an earlier save left would be put on top of it.
    for (const file of [modelFiles.adapterConfig, modelFiles.adapterWeights]) await removeFile(join(folder, file));
    await writeModelFolder(folder, {
      config,
      tensors: pick(parameterShapes(config)),
      tokenizer,
      chatTemplate: template,
      generationConfig: generationConfigOf(policy.generationConfig, policy.stopTokens),
    });
  }
  await writeSafetensors(join(folder, modelFiles.valueHead), pick(valueHeadShapes(config.hiddenSize)));
}

/** The generation_config.json that says where the policy stops. */
export function generationConfigOf(
  given: Readonly<Record<string, unknown>> | undefined,
  stopTokens: readonly number[],
): Record<string, unknown> {
  return { ...given, eos_token_id: stopTokens.length === 1 ? stopTokens[0] : stopTokens };
}

/** How an adapter names its base: a folder by the way from its own, so that both are found from anywhere and may be moved; a hub's name as it is. */
async function baseFrom(folder: string, baseModel: string): Promise<string> {
  return (await filesIn(baseModel)).includes(modelFiles.config) ? relative(folder, baseModel) : baseModel;
}

/** Where the model and the adapter of a folder lie. */
async function placesOf(folder: string): Promise<{ readonly model: string; readonly adapter?: string }> {
  await requireFolder(folder);
  const files = await filesIn(folder);
  if (!files.includes(modelFiles.adapterConfig)) return { model: folder };
  if (files.includes(modelFiles.config)) return { model: folder, adapter: folder };
  const { base_model_name_or_path: base } = ((await readJson(join(folder, modelFiles.adapterConfig))) ?? {}) as Record<string, unknown>;
  if (typeof base === 'string') {
    // PEFT's own adapters name a folder by the way from where they were trained
    for (const model of [resolve(folder, base), base])
      if ((await filesIn(model)).includes(modelFiles.config)) return { model, adapter: folder };
  }
  throw new RlpaError(
    'invalid-file',
    `${folder} holds an adapter, and its base model (${JSON.stringify(base ?? null)}) is no folder here: open the base model's folder with the option adapter: '${folder}'.`,
    { folder, baseModel: base },
  );
}

/** The value head of the first folder that has one. */
async function valueHeadOf(folders: readonly (string | undefined)[], hiddenSize: number): Promise<TensorSource | undefined> {
  for (const folder of folders) {
    if (folder === undefined || !(await filesIn(folder)).includes(modelFiles.valueHead)) continue;
    const file = await openSafetensors(join(folder, modelFiles.valueHead));
    const source = tensorSource(new Map([...file.entries.keys()].map((name) => [name, { file, name }])));
    checkShapes(valueHeadShapes(hiddenSize), source.shapes, file.path);
    return source;
  }
  return undefined;
}

/** Several sources as one; no two have a tensor of the same name. */
function joined(sources: readonly TensorSource[]): TensorSource {
  const places = new Map(sources.flatMap((source) => [...source.shapes.keys()].map((name) => [name, source] as const)));
  return {
    shapes: new Map(sources.flatMap((source) => [...source.shapes])),
    async read(name, signal) {
      const source = places.get(name);
      if (source === undefined) throw new RlpaError('invalid-model', `There is no tensor '${name}'.`, { tensor: name });
      return source.read(name, signal);
    },
  };
}

/** The names in a folder; none where there is no folder. */
async function filesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return [];
    throw fileError(folder, cause);
  });
}
