import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RlpaError } from '../../src/errors';
import { readPolicyFolder, writeModelFolder, writeSafetensors } from '../../src/node/index';
import { Random } from '../../src/random';
import {
  initialWeights,
  modelFiles,
  parameterShapes,
  parseModelConfig,
  Tokenizer,
  trainTokenizer,
  valueHeadShapes,
} from '../../src/transformer/index';
import { temporaryFolder } from './temporary-folder';

const root = temporaryFolder();
const config = parseModelConfig({
  model_type: 'qwen2',
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 270,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
});
const shapes = new Map([...parameterShapes(config), ...valueHeadShapes(config.hiddenSize)]);

type Files = ReadonlyMap<string, Uint8Array>;

/** The files of a whole policy folder, in one piece or in shards. */
async function healthy(name: string, maxShardBytes: number): Promise<Files> {
  const folder = join(root, name);
  const files = trainTokenizer({ texts: ['hello hello world'], vocabularySize: 270 });
  await writeModelFolder(folder, {
    config,
    tensors: initialWeights(config, new Random(1)),
    tokenizer: Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig),
    generationConfig: { eos_token_id: [3, 4] },
    maxShardBytes,
  });
  const head = [...valueHeadShapes(config.hiddenSize)].map(
    ([name, shape]) => [name, { shape, data: new Float32Array(shape.at(-1)!) }] as const,
  );
  await writeSafetensors(join(folder, modelFiles.valueHead), new Map(head));
  return new Map(readdirSync(folder).map((file) => [file, new Uint8Array(readFileSync(join(folder, file)))]));
}

type Entry = { dtype: string; shape: number[]; data_offsets: number[] };

/** A safetensors file taken apart, so that its header can be changed and put together again. */
function apart(bytes: Uint8Array) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, Entry>;
  delete (header as Record<string, unknown>).__metadata__;
  return { header, dataStart: 8 + length, data: bytes.subarray(8 + length) };
}

function together(header: object, data: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.byteLength + data.byteLength);
  new DataView(bytes.buffer).setUint32(0, json.byteLength, true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.byteLength);
  return bytes;
}

/** What was done to a folder, and what its error must name; nothing where the damage may go unseen. */
interface Damage {
  readonly file: string;
  readonly content: Uint8Array | undefined;
  readonly names?: readonly (string | RegExp)[];
}

const isWeights = (file: string) => /^model.*\.safetensors$/.test(file);

/** Changes one entry of a header. */
function changeEntry(
  files: Files,
  dice: Random,
  change: (entry: Entry, dataBytes: number) => Entry,
  names: (tensor: string) => string,
): Damage {
  const file = dice.pick([...files.keys()].filter(isWeights));
  const { header, data } = apart(files.get(file)!);
  const tensor = dice.pick(Object.keys(header));
  const content = together({ ...header, [tensor]: change(header[tensor]!, data.byteLength) }, data);
  return { file, content, names: [file, names(tensor)] };
}

const anyTensor = /tensor '[a-z_.0-9]+'/i;

const damages: Readonly<Record<string, (files: Files, dice: Random) => Damage>> = {
  'data cut off': (files, dice) => {
    const file = dice.pick([...files.keys()].filter((name) => name.endsWith('.safetensors')));
    const bytes = files.get(file)!;
    return { file, content: bytes.slice(0, dice.integer(bytes.byteLength)), names: [file] };
  },
  'a header length beyond the file': (files, dice) => {
    const file = dice.pick([...files.keys()].filter((name) => name.endsWith('.safetensors')));
    const content = files.get(file)!.slice();
    const view = new DataView(content.buffer);
    if (dice.integer(2)) view.setUint32(4, 1 + dice.integer(0x7fffffff), true);
    else view.setUint32(0, content.byteLength - 7 + dice.integer(90_000_000), true);
    return { file, content, names: [file] };
  },
  'offsets out of range': (files, dice) =>
    changeEntry(
      files,
      dice,
      (entry, size) => {
        const [begin, end] = entry.data_offsets as [number, number];
        const away = size - end + 1 + dice.integer(2 ** 30);
        return {
          ...entry,
          data_offsets: dice.pick([
            [begin + away, end + away],
            [begin, end + away],
            [end, begin],
            [-1 - begin, end],
            [begin, 2 ** 60],
          ]),
        };
      },
      (tensor) => `'${tensor}'`,
    ),
  'overlapping offsets': (files, dice) => {
    const several = [...files.keys()].filter((name) => isWeights(name) && Object.keys(apart(files.get(name)!).header).length > 1);
    const file = dice.pick(several);
    const { header, data } = apart(files.get(file)!);
    const later = Object.keys(header).filter((name) => header[name]!.data_offsets[0]! > 0);
    const tensor = dice.pick(later);
    const [begin, end] = header[tensor]!.data_offsets as [number, number];
    const back = 1 + dice.integer(begin);
    const content = together({ ...header, [tensor]: { ...header[tensor]!, data_offsets: [begin - back, end - back] } }, data);
    // whichever of the two lies second is named
    return { file, content, names: [file, anyTensor, /overlap|belong to no/] };
  },
  'an unknown element type': (files, dice) =>
    changeEntry(
      files,
      dice,
      (entry) => ({ ...entry, dtype: dice.pick(['F8_E4M3', 'f32', '', 'constructor', 'U16', 'I8', 'C64']) }),
      (tensor) => `tensor '${tensor}'`,
    ),
  'another element type of the same width': (files, dice) =>
    changeEntry(
      files,
      dice,
      (entry) => ({ ...entry, dtype: 'I32' }),
      (tensor) => `tensor '${tensor}'`,
    ),
  'another shape': (files, dice) =>
    changeEntry(
      files,
      dice,
      (entry) => ({
        ...entry,
        shape: dice.pick([[...entry.shape, 1], [1, ...entry.shape], entry.shape.map((extent) => extent * 2 ** 40), []]),
      }),
      (tensor) => `tensor '${tensor}'`,
    ),
  'a tensor under another name': (files, dice) => {
    const file = dice.pick([...files.keys()].filter(isWeights));
    const { header, data } = apart(files.get(file)!);
    const tensor = dice.pick(Object.keys(header));
    const { [tensor]: entry, ...others } = header;
    return {
      file,
      content: together({ ...others, [`${tensor}x`]: entry }, data),
      names: [/model[^/]*\.(safetensors|json)/, `'${tensor}'`],
    };
  },
  'a missing file': (files, dice) => {
    const file = dice.pick([...files.keys()].filter((name) => isWeights(name) || name === 'config.json' || name === 'tokenizer.json'));
    return { file, content: undefined, names: [file] };
  },
  'an index that is wrong': (files, dice) => {
    const bytes = files.get(modelFiles.index);
    if (bytes === undefined) return { file: modelFiles.weights, content: undefined, names: [modelFiles.weights] };
    const index = JSON.parse(new TextDecoder().decode(bytes)) as { weight_map: Record<string, string> };
    const tensor = dice.pick(Object.keys(index.weight_map));
    const other = dice.pick(Object.values(index.weight_map).filter((shard) => shard !== index.weight_map[tensor]));
    const [change, named] = dice.pick<[Record<string, unknown>, string]>([
      [{ [tensor]: 'model-00077-of-00099.safetensors' }, 'model-00077-of-00099.safetensors'],
      [{ [tensor]: other }, `'${tensor}'`],
      [{ [tensor]: '../config.json' }, `'${tensor}'`],
      [{ [tensor]: 7 }, `'${tensor}'`],
      [{ 'model.none': other }, "'model.none'"],
    ]);
    const content = new TextEncoder().encode(JSON.stringify({ ...index, weight_map: { ...index.weight_map, ...change } }));
    return { file: modelFiles.index, content, names: [modelFiles.index, named] };
  },
  'weights that are not finite': (files, dice) => {
    const file = dice.pick([...files.keys()].filter((name) => name.endsWith('.safetensors')));
    const { header, dataStart } = apart(files.get(file)!);
    const tensor = dice.pick(Object.keys(header));
    const [begin, end] = header[tensor]!.data_offsets as [number, number];
    const content = files.get(file)!.slice();
    const index = dice.integer((end - begin) / 4);
    const value = dice.pick([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    new DataView(content.buffer).setFloat32(dataStart + begin + 4 * index, value, true);
    return { file, content, names: [file, `tensor '${tensor}'`, `found ${value} at index ${index}`] };
  },
  'flipped bits in a header': (files, dice) => {
    const file = dice.pick([...files.keys()].filter((name) => name.endsWith('.safetensors')));
    const content = files.get(file)!.slice();
    const { dataStart } = apart(content);
    for (let flips = 1 + dice.integer(3); flips > 0; flips--) content[dice.integer(dataStart)]! ^= 1 << dice.integer(8);
    return { file, content };
  },
  'flipped bits in JSON': (files, dice) => {
    const file = dice.pick([...files.keys()].filter((name) => name.endsWith('.json')));
    const content = files.get(file)!.slice();
    for (let flips = 1 + dice.integer(3); flips > 0; flips--) content[dice.integer(content.byteLength)]! ^= 1 << dice.integer(7);
    return { file, content };
  },
  'JSON with another value somewhere': (files, dice) => {
    const file = dice.pick([...files.keys()].filter((name) => name.endsWith('.json')));
    const json: unknown = JSON.parse(new TextDecoder().decode(files.get(file)!));
    const value = dice.pick<unknown>([null, 0, -1, 1e300, 2 ** 31, '', 'x', [], {}, true, [null], { a: [] }]);
    return { file, content: new TextEncoder().encode(JSON.stringify(replaced(json, value, dice))) };
  },
};

/** A random part of a JSON value replaced. */
function replaced(json: unknown, value: unknown, dice: Random): unknown {
  if (typeof json !== 'object' || json === null || Object.keys(json).length === 0 || dice.integer(6) === 0) return value;
  const key = dice.pick(Object.keys(json));
  const part = replaced((json as Record<string, unknown>)[key], value, dice);
  return Array.isArray(json) ? json.with(Number(key), part) : { ...json, [key]: part };
}

describe('a damaged policy folder', () => {
  /** The longest array that was made by a length since the test began. */
  let longest = 0;
  beforeEach(() => {
    longest = 0;
    for (const name of ['Uint8Array', 'Float32Array', 'Int32Array', 'Array'] as const) {
      const original = globalThis[name] as unknown as new (...parameters: unknown[]) => object;
      vi.stubGlobal(
        name,
        new Proxy(original, {
          construct(target, parameters, newTarget) {
            if (typeof parameters[0] === 'number') longest = Math.max(longest, parameters[0]);
            return Reflect.construct(target, parameters, newTarget as never);
          },
        }),
      );
    }
  });
  afterEach(() => vi.unstubAllGlobals());

  const rounds = 48;
  const names = Object.keys(damages);
  let mutations = 0;

  it.each(names)('with %s ends in an error that names what is wrong, and never takes memory on a claim', async (kind) => {
    const layouts: Files[] = [await healthy(`${kind} whole`, 5e9), await healthy(`${kind} shards`, 4000)];
    const outcomes = { refused: 0, read: 0 };
    for (const [layout, files] of layouts.entries()) {
      const folder = join(root, `${kind} ${layout}`);
      mkdirSync(folder);
      for (const [file, bytes] of files) writeFileSync(join(folder, file), bytes);
      const largest = Math.max(...[...files.values()].map(({ byteLength }) => byteLength));
      for (let round = 0; round < rounds; round++) {
        mutations++;
        const damage = damages[kind]!(files, new Random(7).split(kind, layout, round));
        if (damage.content === undefined) rmSync(join(folder, damage.file));
        else writeFileSync(join(folder, damage.file), damage.content);
        longest = 0;
        const what = `${kind}, layout ${layout}, round ${round}`;
        try {
          const { tensors } = await readPolicyFolder(folder);
          const weights = new Map<string, Float32Array>();
          for (const name of tensors.shapes.keys()) weights.set(name, await tensors.read(name));
          expect(damage.names, `${what}: was accepted`).toBeUndefined();
          outcomes.read++;
          expect(new Set(weights.keys()), what).toEqual(new Set(shapes.keys()));
          for (const [name, data] of weights) {
            expect(data.length, what).toBe(shapes.get(name)!.reduce((a, b) => a * b, 1));
            expect(data.every(Number.isFinite), what).toBe(true);
          }
        } catch (error) {
          if (!RlpaError.isInstance(error)) throw new Error(`${what}: ${(error as Error).stack}`);
          expect(['invalid-file', 'invalid-model'], what).toContain(error.code);
          for (const name of damage.names ?? []) expect(error.message, what).toMatch(name);
          outcomes.refused++;
        }
        // the folder's own size bounds what is made by a length; 1 MiB is for what is made whatever it says (tables, buffers of the system)
        expect(longest, what).toBeLessThanOrEqual(largest + 2 ** 20);
        writeFileSync(join(folder, damage.file), files.get(damage.file)!);
      }
      expect((await readPolicyFolder(folder)).tensors.shapes.size).toBe(shapes.size);
    }
    expect(outcomes.refused).toBeGreaterThan(0);
  });

  it('was tried in more than a thousand ways', () => {
    expect(mutations).toBe(names.length * 2 * rounds);
    expect(mutations).toBeGreaterThan(1000);
  });
});
