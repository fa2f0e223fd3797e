import { join } from 'node:path';
import type { ExternalBytes } from '../device/cpu/index';
import type { OnnxExportOptions, PolicyToStore } from '../policy/index';
import { modelFiles, toHuggingFaceConfig } from '../transformer/index';
import { checkFolderPath } from './folder';
import { writeTokenizer } from './model-folder';
import { exportDecoder } from './onnx-export-decoder';
import { plainWeights, quantizedWeights } from './onnx-export-weights';
import { generationConfigOf } from './policy-folder';
import { writeJsonWhole, writeWhole } from './write-whole';

/** Weights of more than this lie beside the model: a model in one piece may have 2 GiB at most, and is in memory several times when it is opened. */
const mostInside = 2 ** 28;
/** Of a file of weights: browsers hold no larger arrays than 2 GiB. */
const mostInFile = 2 ** 30;
/** Where weights begin in their file, so that they can be mapped into memory. */
const alignment = 4096;

/**
 * Writes a model for `pipeline('text-generation')` of @huggingface/transformers: `onnx/model.onnx` (`onnx/model_quantized.onnx` with
 * `quantized`), with files of weights beside it when they are large, config.json, generation_config.json and the tokenizer with its template.
 *
 * @throws RlpaError `invalid-option` for an empty path, `file-failed`
 */
export async function writeOnnxFolder(
  folder: string,
  { config, weights, tokenizer, template, stopTokens, generationConfig }: PolicyToStore,
  { quantized = false }: OnnxExportOptions = {},
  limits: { readonly mostInside: number; readonly mostInFile: number } = { mostInside, mostInFile },
): Promise<void> {
  checkFolderPath(folder);
  const name = quantized ? 'model_quantized.onnx' : 'model.onnx';
  const bytes = [...weights.values()].reduce((sum, { data }) => sum + data.byteLength, 0) / (quantized ? 4 : 1);
  const files = new ExternalFiles(name, limits.mostInFile);
  const place = bytes > limits.mostInside ? (data: Uint8Array) => files.add(data) : (data: Uint8Array) => data;
  const graph = exportDecoder(config, (quantized ? quantizedWeights : plainWeights)(weights, place));
  for (const [file, parts] of files.files) await writeWhole(join(folder, 'onnx', file), parts);
  await writeWhole(join(folder, 'onnx', name), graph.finish());
  await writeTokenizer(folder, tokenizer, template);
  await writeJsonWhole(join(folder, modelFiles.generationConfig), generationConfigOf(generationConfig, stopTokens));
  await writeJsonWhole(join(folder, modelFiles.config), {
    ...toHuggingFaceConfig(config),
    'transformers.js_config': {
      // otherwise browsers would ask for the quantised one, Node for the other, whichever there is
      dtype: quantized ? 'q8' : 'fp32',
      ...(files.files.size > 0 && { use_external_data_format: { [name]: files.files.size } }),
    },
  });
}

/** Bytes laid one after the other into files of a limited size, named as transformers.js asks for them. */
class ExternalFiles {
  readonly files = new Map<string, Uint8Array[]>();
  #filled = 0;

  constructor(
    readonly model: string,
    readonly limit: number,
  ) {}

  add(bytes: Uint8Array): ExternalBytes {
    if (this.files.size === 0 || this.#filled + bytes.byteLength > this.limit) {
      this.files.set(`${this.model}_data${this.files.size === 0 ? '' : `_${this.files.size}`}`, []);
      this.#filled = 0;
    }
    const [file, parts] = [...this.files].at(-1)!;
    const offset = this.#filled;
    const padding = -bytes.byteLength & (alignment - 1);
    parts.push(bytes, new Uint8Array(padding));
    this.#filled += bytes.byteLength + padding;
    return { file, offset, length: bytes.byteLength };
  }
}
