import { join } from 'node:path';
import { RlpaError } from '../errors';
import {
  checkShapes,
  fromPeftName,
  type LoraConfig,
  loraShapes,
  type ModelConfig,
  modelFiles,
  parseAdapterConfig,
  type TensorSource,
  type TensorToStore,
  toPeftConfig,
  toPeftName,
} from '../transformer/index';
import { checkFolderPath } from './folder';
import { requireFolder, tensorSource } from './model-folder';
import { readJson } from './read-json';
import { openSafetensors, writeSafetensors } from './safetensors-file';
import { writeJsonWhole } from './write-whole';

/** A LoRA adapter as it lies in a folder. Tensors have the names of {@link loraShapes}, without PEFT's prefix. */
export interface AdapterFolder {
  readonly path: string;
  readonly lora: LoraConfig;
  readonly tensors: TensorSource;
}

/**
 * Reads a PEFT folder (adapter_config.json, adapter_model.safetensors) and checks it against the model that it is to stand on.
 *
 * @throws RlpaError `invalid-file` for what is missing or broken, `invalid-model` for what is not plain LoRA or does not fit the model,
 *   `file-failed`
 */
export async function readAdapterFolder(path: string, config: ModelConfig): Promise<AdapterFolder> {
  await requireFolder(path);
  const lora = parseAdapterConfig(await readJson(join(path, modelFiles.adapterConfig)));
  const file = await openSafetensors(join(path, modelFiles.adapterWeights));
  const places = new Map([...file.entries.keys()].map((name) => [parameterOf(name, file.path), { file, name }]));
  const tensors = tensorSource(places);
  checkShapes(loraShapes(config, lora), tensors.shapes, file.path);
  return { path, lora, tensors };
}

export interface AdapterToWrite {
  /** Of the model that the adapter stands on. */
  readonly config: ModelConfig;
  readonly lora: LoraConfig;
  /** Every tensor of {@link loraShapes}. */
  readonly tensors: ReadonlyMap<string, TensorToStore>;
  /** Folder or hub name of that model, for those who load the adapter. */
  readonly baseModel?: string;
}

/**
 * Writes an adapter in PEFT's layout, which transformers, vLLM and {@link readAdapterFolder} read. Nothing is written when the tensors
 * do not fit.
 *
 * @throws RlpaError `invalid-option` for an empty path, `invalid-model`, `file-failed`
 */
export async function writeAdapterFolder(path: string, adapter: AdapterToWrite): Promise<void> {
  const { config, lora, tensors, baseModel } = adapter;
  checkFolderPath(path);
  checkShapes(loraShapes(config, lora), new Map([...tensors].map(([name, { shape }]) => [name, shape])), path);
  const named = new Map([...tensors].map(([name, tensor]) => [toPeftName(name), tensor]));
  await writeSafetensors(join(path, modelFiles.adapterWeights), named, { format: 'pt' });
  await writeJsonWhole(join(path, modelFiles.adapterConfig), toPeftConfig(lora, baseModel));
}

function parameterOf(name: string, file: string): string {
  const parameter = fromPeftName(name);
  if (parameter !== undefined) return parameter;
  throw new RlpaError('invalid-model', `${file}: tensor '${name}': expected a name beginning with '${toPeftName('')}'.`, {
    file,
    tensor: name,
  });
}
