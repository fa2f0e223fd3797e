import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import { readPolicyFolder } from '../../src/node/index';
import { LocalPolicy, type OptimizerStep, type TrainingSequence } from '../../src/policy/index';
import { decodeSafetensors, parseModelConfig, Tokenizer } from '../../src/transformer/index';
import { temporaryFolder } from '../node/temporary-folder';
import { describeWithShared, sharedPath } from '../shared';

const root = temporaryFolder();
const step: OptimizerStep = { learningRate: 0.01, betas: [0.9, 0.95], epsilon: 1e-5, weightDecay: 0, maxGradientNorm: 1 };

function sequence(ids: readonly number[]): TrainingSequence {
  return { tokens: Int32Array.from(ids), actionMask: Uint8Array.from(ids, (_, t) => Number(t > 0)) };
}

/** A step of PPO on one sequence: enough to move the weights and the value head. */
async function train(policy: LocalPolicy, example: TrainingSequence): Promise<void> {
  const { logProbs } = (await policy.score([example]))[0]!;
  const ones = new Float32Array(logProbs.length).fill(1);
  const zeros = new Float32Array(logProbs.length);
  await policy.accumulatePPO(
    [{ ...example, oldLogProbs: logProbs, referenceLogProbs: logProbs, oldValues: zeros, advantages: ones, returns: ones }],
    { clip: 0.2, valueClip: 0.2, valueCoefficient: 1, entropyCoefficient: 0, klLossCoefficient: 0, klLoss: 'k3', normalizer: 8 },
  );
  await policy.update(step);
}

async function scores(policy: LocalPolicy, examples: readonly TrainingSequence[]) {
  const found = await policy.score(examples);
  return { logProbs: found.flatMap(({ logProbs }) => [...logProbs]), values: found.flatMap(({ values }) => [...values]) };
}

const largestDifference = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

describeWithShared('a fully trained policy', 'models/stories260k/config.json', () => {
  let policy: LocalPolicy;
  let examples: TrainingSequence[];
  const folder = join(root, 'stories');
  beforeAll(async () => {
    policy = await LocalPolicy.load(sharedPath('models/stories260k'), { device: cpuDevice({ threads: 2 }) });
    examples = ['Once upon a time', 'The dog was very happy.'].map((text) => sequence([1, ...policy.tokenizer.encode(text)]));
    const before = await scores(policy, examples);
    await train(policy, examples[0]!);
    expect(largestDifference((await scores(policy, examples)).logProbs, before.logProbs)).toBeGreaterThan(0.01);
    await policy.save(folder);
  });
  afterAll(() => policy.dispose());

  it('says the same after it was saved and opened, and values states the same', async () => {
    const again = await LocalPolicy.load(folder);
    const [expected, found] = [await scores(policy, examples), await scores(again, examples)];
    await again.dispose();
    expect(largestDifference(found.logProbs, expected.logProbs)).toBeLessThan(1e-6);
    expect(largestDifference(found.values, expected.values)).toBeLessThan(1e-6);
    expect(Math.max(...expected.values.map(Math.abs))).toBeGreaterThan(1e-3);
    expect(again.fingerprint).toBe(policy.fingerprint);
  });

  it("lies in Hugging Face's layout, the value head apart", () => {
    expect(readdirSync(folder).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
      'value_head.safetensors',
    ]);
    const names = (file: string) => [...decodeSafetensors(readFileSync(join(folder, file)), file).keys()];
    expect(names('model.safetensors')).toContain('model.layers.4.mlp.down_proj.weight');
    expect(names('model.safetensors').filter((name) => name.startsWith('value_head'))).toEqual([]);
    expect(names('value_head.safetensors').sort()).toEqual(['value_head.bias', 'value_head.weight']);
    expect(JSON.parse(readFileSync(join(folder, 'tokenizer_config.json'), 'utf8')).chat_template).toBe(policy.template.source);
  });

  it('is refused an option that is wrong before anything is read', async () => {
    for (const options of [
      { temperature: Number.NaN },
      { maxNewTokens: -1 },
      { maxNewTokens: 2.5 },
      { limits: { topP: 0 } },
      { limits: { topK: 0.5 } },
    ]) {
      await expect(LocalPolicy.load('/no/such/folder', options)).rejects.toMatchObject({ code: 'invalid-option' });
    }
    await expect(LocalPolicy.load(folder, { device: 'cuda' as 'cpu' })).rejects.toMatchObject({ code: 'invalid-option' });
  });

  it('can be left unopened by its signal', async () => {
    await expect(LocalPolicy.load(folder, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
  });
});

/** A tokenizer as small as the golden models' vocabulary: a token a letter. */
const letters = Tokenizer.fromJSON(
  {
    model: { type: 'BPE', vocab: Object.fromEntries([...'abcdefghijklmnopqrstuvwxyzĠ'].map((letter, id) => [letter, id + 1])), merges: [] },
    added_tokens: [{ id: 0, content: '<end>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }],
    decoder: { type: 'ByteLevel' },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
    normalizer: null,
    post_processor: null,
  },
  { eos_token: '<end>' },
);

function addTokenizer(folder: string): void {
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(letters.json));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(letters.config));
}

describeWithShared('a policy with an adapter', 'golden/qwen2-lora', () => {
  const golden = sharedPath('golden/qwen2-lora');
  const both = join(root, 'both');
  const base = join(root, 'base');
  const adapter = join(root, 'adapter');
  const examples = [sequence([3, 90, 14, 15, 92, 65]), sequence([1, 2, 3, 4])];
  let policy: LocalPolicy;
  beforeAll(async () => {
    for (const [folder, names] of [
      [both, ['config.json', 'model.safetensors', 'adapter_config.json', 'adapter_model.safetensors']],
      [base, ['config.json', 'model.safetensors']],
    ] as const) {
      mkdirSync(folder);
      for (const name of names) copyFileSync(join(golden, name), join(folder, name));
      addTokenizer(folder);
    }
    policy = await LocalPolicy.load(both, { seed: 1 });
    await train(policy, examples[0]!);
    await policy.save(adapter);
  });
  afterAll(() => policy.dispose());

  const difference = async (other: LocalPolicy) => {
    const [expected, found] = [await scores(policy, examples), await scores(other, examples)];
    await other.dispose();
    return Math.max(largestDifference(found.logProbs, expected.logProbs), largestDifference(found.values, expected.values));
  };

  it("trains on the adapter that lies in the model's folder", async () => {
    expect(policy.lora).toMatchObject({ rank: 4, alpha: 8 });
    const plain = await LocalPolicy.load(base);
    expect(plain.lora).toBeUndefined();
    expect(await difference(plain)).toBeGreaterThan(0.01);
  });

  it("is saved under PEFT's names, with nothing of the base", () => {
    expect(readdirSync(adapter).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'value_head.safetensors']);
    const names = (folder: string) => [...decodeSafetensors(readFileSync(join(folder, 'adapter_model.safetensors')), folder).keys()].sort();
    expect(names(adapter)).toEqual(names(golden));
    const config = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 8, base_model_name_or_path: '../both' });
  });

  it('says the same on its base again, whether the base is named or found', async () => {
    expect(await difference(await LocalPolicy.load(base, { adapter }))).toBeLessThan(1e-6);
    // Its configuration names `both`, whose own adapter is left aside.
    expect(await difference(await LocalPolicy.load(adapter))).toBeLessThan(1e-6);
  });

  it('says the same when the adapter was added to the base', async () => {
    const merged = join(root, 'merged');
    await policy.save(merged, { merged: true });
    expect(readdirSync(merged)).not.toContain('adapter_config.json');
    const whole = await LocalPolicy.load(merged);
    expect(whole.lora).toBeUndefined();
    expect(await difference(whole)).toBeLessThan(1e-5);
  });

  it('is never saved where it would be put on another model, nor left where a whole model is saved', async () => {
    const folder = join(root, 'reused');
    await policy.save(folder);
    await policy.save(folder, { merged: true });
    expect(readdirSync(folder).filter((name) => name.startsWith('adapter'))).toEqual([]);
    await expect(policy.save(folder)).rejects.toMatchObject({ code: 'invalid-option' });
    expect(await difference(await LocalPolicy.load(folder))).toBeLessThan(1e-5);
  });

  it('is not opened as another adapter than it is, nor without its base', async () => {
    await expect(LocalPolicy.load(both, { lora: { rank: 8 } })).rejects.toMatchObject({ code: 'invalid-option' });
    const orphan = join(root, 'orphan');
    mkdirSync(orphan);
    copyFileSync(join(golden, 'adapter_config.json'), join(orphan, 'adapter_config.json'));
    await expect(LocalPolicy.load(orphan)).rejects.toThrow(/base model.*adapter:/);
  });
});

describe('a policy', () => {
  const config = parseModelConfig({
    model_type: 'qwen2',
    hidden_size: 8,
    intermediate_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 32,
    max_position_embeddings: 64,
  });

  it('is made anew, seed by seed, saved and opened', async () => {
    const folder = join(root, 'new');
    const example = [sequence([1, 2, 3, 4, 5])];
    const made = await LocalPolicy.create({ config, tokenizer: letters, seed: 7 });
    const other = await LocalPolicy.create({ config, tokenizer: letters, seed: 8 });
    await made.save(folder);
    const opened = await LocalPolicy.load(folder);
    const [a, b, c] = [await scores(made, example), await scores(opened, example), await scores(other, example)];
    for (const policy of [made, opened, other]) await policy.dispose();
    expect(largestDifference(a.logProbs, b.logProbs)).toBeLessThan(1e-6);
    expect(largestDifference(a.logProbs, c.logProbs)).toBeGreaterThan(1e-3);
  });

  it('with an adapter is told from one on another base, however the base came to it', async () => {
    const folder = join(root, 'told-apart');
    const base = await LocalPolicy.create({ config, tokenizer: letters, seed: 7 });
    await base.save(folder);
    const lora = { rank: 2 };
    const policies = await Promise.all([
      LocalPolicy.create({ config, tokenizer: letters, seed: 7, lora }),
      LocalPolicy.load(folder, { lora, seed: 1 }),
      LocalPolicy.create({ config, tokenizer: letters, weights: await base.readWeights(), lora }),
      LocalPolicy.create({ config, tokenizer: letters, seed: 8, lora }),
    ]);
    const [fresh, opened, given, other] = policies.map(({ fingerprint }) => fingerprint);
    for (const policy of [base, ...policies]) await policy.dispose();
    expect(opened).toBe(fresh);
    expect(given).toBe(fresh);
    expect(other).not.toBe(fresh);
  });

  it('with an adapter finds its base from any working directory, and after both were moved', async () => {
    const [here, there] = [join(root, 'here'), join(root, 'there')];
    const base = await LocalPolicy.create({ config, tokenizer: letters, seed: 7 });
    await base.save(join(here, 'base'));
    await base.dispose();
    const policy = await LocalPolicy.load(relative('.', join(here, 'base')), { lora: { rank: 2 } });
    await policy.save(join(here, 'adapter'));
    await policy.dispose();
    cpSync(here, there, { recursive: true });
    const workingDirectory = process.cwd();
    try {
      // where a base lies as well, by the same way
      process.chdir(join(here, 'adapter'));
      expect((await readPolicyFolder(join(there, 'adapter'))).baseModel).toBe(join(there, 'base'));
    } finally {
      process.chdir(workingDirectory);
    }
  });

  it('with an adapter finds its base also where the working directory changed between loading and saving', async () => {
    const here = join(root, 'changed');
    const base = await LocalPolicy.create({ config, tokenizer: letters, seed: 7 });
    await base.save(join(here, 'base'));
    await base.dispose();
    const policy = await LocalPolicy.load(relative('.', join(here, 'base')), { lora: { rank: 2 } });
    const workingDirectory = process.cwd();
    try {
      process.chdir(here);
      await policy.save('adapter');
    } finally {
      process.chdir(workingDirectory);
    }
    await policy.dispose();
    expect((await readPolicyFolder(join(here, 'adapter'))).baseModel).toBe(join(here, 'base'));
  });

  it("with an adapter names its base as it was told where that is no folder here: by a hub's name", async () => {
    const folder = join(root, 'on-a-hub');
    const policy = await LocalPolicy.create({ config, tokenizer: letters, lora: { rank: 2 }, baseModel: 'Qwen/Qwen2.5-0.5B' });
    await policy.save(folder);
    await policy.dispose();
    const written = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'));
    expect(written.base_model_name_or_path).toBe('Qwen/Qwen2.5-0.5B');
  });

  it('with an adapter stays the same to its checkpoints while it is trained', async () => {
    const policy = await LocalPolicy.create({ config, tokenizer: letters, seed: 7, lora: { rank: 2 } });
    const before = policy.fingerprint;
    await train(policy, sequence([1, 2, 3, 4, 5]));
    expect(policy.fingerprint).toBe(before);
    await policy.dispose();
  });

  it('says what restricts its sampling', async () => {
    const policy = await LocalPolicy.create({ config, tokenizer: letters, limits: { topK: 4 }, maxNewTokens: 12 });
    expect(policy.limits).toEqual({ topK: 4 });
    expect(policy.maxNewTokens).toBe(12);
    await policy.dispose();
  });

  it('without an adapter is not told by its weights, which a checkpoint brings along', async () => {
    const policies = await Promise.all([7, 8].map((seed) => LocalPolicy.create({ config, tokenizer: letters, seed })));
    expect(policies[0]!.fingerprint).toBe(policies[1]!.fingerprint);
    for (const policy of policies) await policy.dispose();
  });

  it('stops at the tokens that generation_config.json names as well', async () => {
    const folder = join(root, 'stops');
    const made = await LocalPolicy.create({ config, tokenizer: letters });
    await made.save(folder);
    // Every letter ends the text: sampling stops at the first.
    const ids = Array.from({ length: 32 }, (_, id) => id);
    writeFileSync(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: ids, temperature: 0.6 }));
    const opened = await LocalPolicy.load(folder);
    const [sample] = await opened.sample([{ owner: 'a', prompt: Int32Array.of(1, 2), seed: 0 }], { maxNewTokens: 5 });
    expect(sample).toMatchObject({ finishReason: 'stop' });
    expect(sample!.completion).toHaveLength(1);
    await opened.save(folder);
    for (const policy of [made, opened]) await policy.dispose();
    const saved = JSON.parse(readFileSync(join(folder, 'generation_config.json'), 'utf8'));
    expect(saved.temperature).toBe(0.6);
    expect(new Set(saved.eos_token_id)).toEqual(new Set(ids));
  });

  it('is saved neither at no path nor where a file is', async () => {
    const file = join(root, 'a file');
    writeFileSync(file, '');
    const policy = await LocalPolicy.create({ config, tokenizer: letters });
    await expect(policy.save('')).rejects.toMatchObject({ code: 'invalid-option' });
    await expect(policy.exportOnnx('')).rejects.toMatchObject({ code: 'invalid-option' });
    for (const place of [file, join(file, 'policy')])
      await expect(policy.save(place)).rejects.toMatchObject({ name: 'RlpaError', message: expect.stringContaining(file) });
    await policy.dispose();
  });

  it('is not opened from a folder without a tokenizer', async () => {
    const folder = join(root, 'new-without-tokenizer');
    const made = await LocalPolicy.create({ config, tokenizer: letters });
    await made.save(folder);
    await made.dispose();
    const bare = join(root, 'bare');
    mkdirSync(bare);
    for (const name of ['config.json', 'model.safetensors']) copyFileSync(join(folder, name), join(bare, name));
    await expect(LocalPolicy.load(bare)).rejects.toMatchObject({
      code: 'invalid-file',
      message: expect.stringContaining('tokenizer.json'),
    });
  });
});
