import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { RlpaError } from '../../src/errors';
import { readAdapterFolder, readModelFolder, writeAdapterFolder, writeModelFolder } from '../../src/node/index';
import { Random } from '../../src/random';
import {
  ChatTemplate,
  decodeSafetensors,
  encodeSafetensors,
  loraConfig,
  loraShapes,
  parameterShapes,
  parseModelConfig,
  type TensorToStore,
  Tokenizer,
  trainTokenizer,
} from '../../src/transformer/index';
import { describeWithShared, sharedPath } from '../shared';
import { temporaryFolder } from './temporary-folder';

const root = temporaryFolder();
const tokenizerFiles = trainTokenizer({ texts: ['hello hello world'], vocabularySize: 280 });
const tokenizer = Tokenizer.fromJSON(tokenizerFiles.tokenizer, tokenizerFiles.tokenizerConfig);
const config = parseModelConfig({
  model_type: 'qwen2',
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 280,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
  eos_token_id: 3,
});

function randomTensors(shapes: ReadonlyMap<string, readonly number[]>): Map<string, { shape: readonly number[]; data: Float32Array }> {
  const dice = new Random(1);
  return new Map(
    [...shapes].map(([name, shape]) => {
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => dice.normal());
      return [name, { shape, data }];
    }),
  );
}
const tensors = randomTensors(parameterShapes(config));

async function refusal(action: Promise<unknown>): Promise<RlpaError> {
  const error = await action.then(
    () => new Error('was accepted'),
    (reason: unknown) => reason,
  );
  if (RlpaError.isInstance(error)) return error;
  throw error;
}

describe('a model folder', () => {
  let folder: string;
  let number = 0;
  beforeEach(async () => {
    folder = join(root, `model-${number++}`);
    await writeModelFolder(folder, { config, tensors, tokenizer, generationConfig: { eos_token_id: [3, 4], temperature: 0.7 } });
  });
  const file = (name: string) => join(folder, name);
  const rewrite = (name: string, change: (json: { weight_map: Record<string, string> }) => unknown) =>
    writeFileSync(file(name), JSON.stringify(change(JSON.parse(readFileSync(file(name), 'utf8')))));
  const rewriteWeights = (change: (tensors: Map<string, TensorToStore>) => void) => {
    const stored: Map<string, TensorToStore> = decodeSafetensors(readFileSync(file('model.safetensors')), 'f');
    change(stored);
    writeFileSync(file('model.safetensors'), encodeSafetensors(stored));
  };

  it('gives back what was written, and leaves no temporary file', async () => {
    const model = await readModelFolder(folder);
    expect(model.config).toEqual(config);
    expect(model.eosTokenIds).toEqual([3, 4]);
    expect(model.generationConfig).toEqual({ eos_token_id: [3, 4], temperature: 0.7 });
    expect(model.tokenizer?.size).toBe(tokenizer.size);
    expect(model.chatTemplate?.source).toBe(ChatTemplate.of(tokenizer).source);
    expect(new Set(model.tensors.shapes.keys())).toEqual(new Set(tensors.keys()));
    for (const [name, { data }] of tensors) expect(await model.tensors.read(name)).toEqual(data);
    expect(readdirSync(folder).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
  });

  it('is divided over shards when it is large, and replaces the single file of an earlier save, and back', async () => {
    await writeModelFolder(folder, { config, tensors, tokenizer, maxShardBytes: 4000 });
    const files = readdirSync(folder);
    expect(files).not.toContain('model.safetensors');
    expect(files).toContain('model.safetensors.index.json');
    expect(files.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name)).length).toBeGreaterThan(1);
    const index = JSON.parse(readFileSync(file('model.safetensors.index.json'), 'utf8'));
    const bytes = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
    expect(index.metadata.total_size).toBe(bytes);
    const model = await readModelFolder(folder);
    for (const [name, { data }] of tensors) expect(await model.tensors.read(name)).toEqual(data);

    await writeModelFolder(folder, { config, tensors, tokenizer });
    expect(readdirSync(folder).filter((name) => name.includes('-of-') || name.includes('index'))).toEqual([]);
    expect((await readModelFolder(folder)).config).toEqual(config);
  });

  it('reads half-precision weights as float32', async () => {
    const bias = 'model.layers.0.self_attn.k_proj.bias';
    // bfloat16 of 1, -2, 0.5, 3 is the upper half of float32: 3f80, c000, 3f00, 4040.
    rewriteWeights((stored) =>
      stored.set(bias, { dtype: 'BF16', shape: [4], data: new Uint8Array(Uint16Array.of(0x3f80, 0xc000, 0x3f00, 0x4040).buffer) }),
    );
    expect([...(await (await readModelFolder(folder)).tensors.read(bias))]).toEqual([1, -2, 0.5, 3]);
  });

  it('passes over a tied head that was written out, and old rotary constants', async () => {
    rewriteWeights((stored) => {
      stored.set('lm_head.weight', stored.get('model.embed_tokens.weight')!);
      stored.set('model.layers.0.self_attn.rotary_emb.inv_freq', { shape: [2], data: Float32Array.of(1, 0.1) });
    });
    expect((await readModelFolder(folder)).tensors.shapes.size).toBe(tensors.size);
  });

  it('prefers the template file, and stores a template that is given', async () => {
    writeFileSync(file('chat_template.jinja'), 'from the file');
    expect((await readModelFolder(folder)).chatTemplate?.source).toBe('from the file');
    await writeModelFolder(folder, { config, tensors, tokenizer, chatTemplate: new ChatTemplate('given') });
    expect((await readModelFolder(folder)).chatTemplate?.source).toBe('given');
  });

  it('reads no more when its signal has fired', async () => {
    const model = await readModelFolder(folder);
    expect((await refusal(model.tensors.read('model.norm.weight', AbortSignal.abort()))).code).toBe('aborted');
  });

  it.each<[string, string, () => void, RegExp]>([
    ['that is not there', 'invalid-file', () => rmSync(folder, { recursive: true }), /no such file or folder/],
    ['without config.json', 'invalid-file', () => rmSync(file('config.json')), /config\.json: there is no such file/],
    ['whose config.json is cut off', 'invalid-file', () => truncateSync(file('config.json'), 20), /config\.json: not JSON/],
    [
      'of another architecture',
      'invalid-model',
      () => rewrite('config.json', (json) => ({ ...json, model_type: 'gpt2' })),
      /model_type: expected .* found "gpt2"/,
    ],
    [
      'without weights',
      'invalid-file',
      () => rmSync(file('model.safetensors')),
      /expected model\.safetensors or model\.safetensors\.index\.json/,
    ],
    [
      'whose weights are truncated',
      'invalid-file',
      () => truncateSync(file('model.safetensors'), 3000),
      /model\.safetensors: tensor '.*': expected data_offsets within/,
    ],
    ['whose weights are empty', 'invalid-file', () => truncateSync(file('model.safetensors'), 0), /truncated/],
    [
      'with a tensor of the wrong shape',
      'invalid-model',
      () => rewriteWeights((t) => t.set('model.norm.weight', { shape: [9], data: new Float32Array(9) })),
      /'model\.norm\.weight': expected shape \[8\], found \[9\]/,
    ],
    [
      'with a missing tensor',
      'invalid-model',
      () => rewriteWeights((t) => t.delete('model.norm.weight')),
      /expected a tensor 'model\.norm\.weight' of shape \[8\], found none/,
    ],
    [
      'with a tensor too many',
      'invalid-model',
      () => rewriteWeights((t) => t.set('model.layers.2.x', { shape: [1], data: new Float32Array(1) })),
      /'model\.layers\.2\.x'/,
    ],
    [
      'with weights of integers',
      'invalid-model',
      () => rewriteWeights((t) => t.set('model.norm.weight', { shape: [8], data: new Int32Array(8) })),
      /floating-point values, found I32/,
    ],
    [
      'whose tokenizer has more tokens than the embedding',
      'invalid-model',
      () => rewrite('tokenizer.json', (json) => ({ ...json, added_tokens: [{ id: 280, content: '<x>' }] })),
      /281 tokens, but the embedding only 280 rows/,
    ],
    ['with a broken tokenizer', 'invalid-model', () => rewrite('tokenizer.json', () => ({})), /tokenizer\.json/],
    ['with a broken end of text', 'invalid-model', () => rewrite('generation_config.json', () => ({ eos_token_id: 'x' })), /eos_token_id/],
  ])('%s is refused as %s', async (_, code, damage, message) => {
    damage();
    const error = await refusal(readModelFolder(folder));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  it.each<[string, (map: Record<string, string>) => unknown, RegExp]>([
    [
      'names a missing shard',
      (map) => ({ ...map, 'model.norm.weight': 'model-00009-of-00009.safetensors' }),
      /shard model-00009-of-00009\.safetensors.* is missing/,
    ],
    [
      'says that a tensor lies where it does not',
      (map) => ({ ...map, 'model.none': Object.values(map)[0] }),
      /'model\.none' is said to be in/,
    ],
    [
      'leads out of the folder',
      (map) => ({ ...map, 'model.norm.weight': '../secret.safetensors' }),
      /expected the name of a \.safetensors file/,
    ],
    ['is empty', () => ({}), /found none/],
    ['is no map', () => 3, /weight_map/],
  ])('with an index that %s is refused', async (_, change, message) => {
    await writeModelFolder(folder, { config, tensors, tokenizer, maxShardBytes: 4000 });
    rewrite('model.safetensors.index.json', (json) => ({ ...json, weight_map: change(json.weight_map) }));
    const error = await refusal(readModelFolder(folder));
    expect(error.message).toMatch(message);
    expect(error.code).toBe('invalid-file');
  });

  it('names the tensor with values that are not finite when it is read', async () => {
    rewriteWeights((stored) => stored.set('model.norm.weight', { shape: [8], data: new Float32Array(8).fill(Number.NaN, 5) }));
    const model = await readModelFolder(folder);
    const error = await refusal(model.tensors.read('model.norm.weight'));
    expect(error.message).toMatch(/'model\.norm\.weight': expected finite values, found NaN at index 5/);
  });

  it('that was truncated after it was opened is noticed', async () => {
    const model = await readModelFolder(folder);
    truncateSync(file('model.safetensors'), 3000);
    const results = await Promise.allSettled([...tensors.keys()].map((name) => model.tensors.read(name)));
    const failures = results.filter((result) => result.status === 'rejected').map((result) => result.reason);
    expect(failures.length).toBeGreaterThan(0);
    for (const error of failures) expect(error).toMatchObject({ code: 'invalid-file', message: expect.stringContaining('truncated') });
  });

  it('is not begun when the tensors do not fit the configuration', async () => {
    const target = join(root, 'never');
    const wrong = new Map(tensors).set('model.norm.weight', { shape: [1], data: new Float32Array(1) });
    expect((await refusal(writeModelFolder(target, { config, tensors: wrong }))).code).toBe('invalid-model');
    expect((await refusal(writeModelFolder(target, { config: { ...config, vocabularySize: 100 }, tensors, tokenizer }))).code).toBe(
      'invalid-model',
    );
    expect(existsSync(target)).toBe(false);
  });

  it('cannot lie where a file is in the way', async () => {
    writeFileSync(join(root, 'in-the-way'), '');
    const error = await refusal(writeModelFolder(join(root, 'in-the-way'), { config, tensors }));
    expect(['file-failed', 'invalid-file']).toContain(error.code);
  });
});

describe('an adapter folder', () => {
  const lora = loraConfig({ rank: 2, alpha: 3, targets: ['q_proj', 'down_proj'] });
  const adapter = randomTensors(loraShapes(config, lora));
  const folder = join(root, 'adapter');

  it("gives back what was written, in PEFT's layout", async () => {
    await writeAdapterFolder(folder, { config, lora, tensors: adapter, baseModel: 'Qwen/Qwen2.5-0.5B' });
    const stored = decodeSafetensors(readFileSync(join(folder, 'adapter_model.safetensors')), 'f');
    expect(stored.get('base_model.model.model.layers.1.mlp.down_proj.lora_B.weight')!.shape).toEqual([8, 2]);
    expect(JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))).toMatchObject({
      peft_type: 'LORA',
      r: 2,
      lora_alpha: 3,
      target_modules: ['q_proj', 'down_proj'],
      base_model_name_or_path: 'Qwen/Qwen2.5-0.5B',
    });
    const read = await readAdapterFolder(folder, config);
    expect(read.lora).toEqual(lora);
    for (const [name, { data }] of adapter) expect(await read.tensors.read(name)).toEqual(data);
  });

  it.each([
    ['of another kind', { peft_type: 'IA3' }, /peft_type/],
    ['with rank-stabilised scaling', { use_rslora: true }, /use_rslora/],
    ['with ranks that differ', { rank_pattern: { q_proj: 8 } }, /rank_pattern/],
    ['on modules that are no projections', { target_modules: ['q_proj', 'embed_tokens'] }, /target_modules/],
    ['of no rank', { r: 0 }, /, r: expected a whole number of at least 1, found 0/],
    ['without alpha', { lora_alpha: null }, /lora_alpha/],
    ['that trains biases', { bias: 'all' }, /bias/],
    ['of another rank than its tensors', { r: 4 }, /expected shape \[4,8\], found \[2,8\]/],
    [
      'that names more projections than it has tensors for',
      { target_modules: ['q_proj', 'down_proj', 'up_proj'] },
      /expected a tensor '.*up_proj.*', found none|expected a tensor/,
    ],
  ])('%s is refused', async (_, change, message) => {
    const broken = join(root, 'broken-adapter');
    cpSync(folder, broken, { recursive: true });
    const path = join(broken, 'adapter_config.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
    const error = await refusal(readAdapterFolder(broken, config));
    expect(error.message).toMatch(message);
    expect(error.code).toBe('invalid-model');
  });

  it('for a model of other sizes is refused', async () => {
    const error = await refusal(readAdapterFolder(folder, { ...config, hiddenSize: 16, headSize: 8 }));
    expect(error.message).toMatch(/expected shape/);
    expect(error.code).toBe('invalid-model');
  });
});

describeWithShared('published and golden folders', 'golden', () => {
  it.each(['golden/qwen2-tied', 'golden/llama-untied', 'golden/qwen2-lora', 'models/stories260k'])(
    '%s loads, every weight finite',
    async (path) => {
      const model = await readModelFolder(sharedPath(path));
      for (const [name, shape] of parameterShapes(model.config)) {
        expect(await model.tensors.read(name)).toHaveLength(shape.reduce((a, b) => a * b, 1));
      }
      expect(model.tokenizer?.size).toBe(path.startsWith('models') ? 512 : undefined);
    },
  );

  it("PEFT's adapter loads, and is the same after being written by us", async () => {
    const path = sharedPath('golden/qwen2-lora');
    const { config: base } = await readModelFolder(path);
    const { lora, tensors: source } = await readAdapterFolder(path, base);
    expect(lora).toMatchObject({ rank: 4, alpha: 8 });
    const values = new Map<string, TensorToStore>();
    for (const [name, shape] of source.shapes) values.set(name, { shape, data: await source.read(name) });
    const copy = join(root, 'golden-adapter');
    await writeAdapterFolder(copy, { config: base, lora, tensors: values });
    const original = decodeSafetensors(readFileSync(join(path, 'adapter_model.safetensors')), 'original');
    expect(decodeSafetensors(readFileSync(join(copy, 'adapter_model.safetensors')), 'copy')).toEqual(original);
  });

  it("Qwen2.5's tokenizer does not fit a small model", async () => {
    const folder = join(root, 'misfit');
    mkdirSync(folder);
    for (const name of ['config.json', 'model.safetensors']) copyFileSync(sharedPath(`golden/qwen2-tied/${name}`), join(folder, name));
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      copyFileSync(sharedPath(`tokenizers/qwen2.5/${name}`), join(folder, name));
    const error = await refusal(readModelFolder(folder));
    expect(error.message).toMatch(/151665 tokens, but the embedding only 96 rows/);
    expect(error.code).toBe('invalid-model');
  });
});
