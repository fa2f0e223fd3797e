import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { env, pipeline } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../src/chat/index';
import { cpuDevice } from '../../src/device/cpu/index';
import { writeOnnxFolder } from '../../src/node/onnx-export';
import { LocalPolicy, type TrainingSequence } from '../../src/policy/index';
import { parseModelConfig, Tokenizer, trainTokenizer } from '../../src/transformer/index';
import { commandLine } from '../cli/command-line';
import { describeWithShared, sharedPath } from '../shared';
import { temporaryFolder } from './temporary-folder';

const root = temporaryFolder();

/** Continues texts or chats with an exported model, as a user of transformers.js would, from files alone. */
async function written(folder: string, input: string | ChatMessage[], length: number): Promise<string> {
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: dirname(folder) });
  const write = await pipeline('text-generation', basename(folder));
  const [found] = (await write(input as string, { max_new_tokens: length, do_sample: false })) as {
    generated_text: string | ChatMessage[];
  }[];
  await write.dispose();
  const text = found!.generated_text;
  return typeof text === 'string' ? text : text.at(-1)!.content;
}

describeWithShared('a published model, exported as ONNX', 'models/stories260k/config.json', () => {
  const folder = join(root, 'stories');
  const once = 'Once upon a time';
  let policy: LocalPolicy;
  let expected: string;
  beforeAll(async () => {
    policy = await LocalPolicy.load(sharedPath('models/stories260k'), { device: cpuDevice({ threads: 1 }) });
    const prompt = Int32Array.of(1, ...policy.tokenizer.encode(once));
    const [sample] = await policy.sample([{ owner: 'a', prompt, seed: 0 }], { temperature: 0, maxNewTokens: 200 });
    expected = policy.tokenizer.decode([...prompt, ...sample!.completion], { skipSpecial: true });
  });
  afterAll(() => policy.dispose());

  it('writes the same 200 tokens in transformers.js', async () => {
    await policy.exportOnnx(folder);
    expect(expected.length).toBeGreaterThan(400);
    expect(await written(folder, once, 200)).toBe(expected);
  });

  it('lies in the layout of the hub', () => {
    expect(readdirSync(folder).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'onnx',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(readdirSync(join(folder, 'onnx'))).toEqual(['model.onnx']);
  });

  it('writes the same where its weights lie in files beside it', async () => {
    const parts = join(root, 'parts');
    const { config, tokenizer, template } = policy;
    const weights = await policy.readWeights();
    await writeOnnxFolder(parts, { config, tokenizer, template, stopTokens: [2], weights }, {}, { mostInside: 1000, mostInFile: 400_000 });
    const files = readdirSync(join(parts, 'onnx')).sort();
    expect(files.slice(0, 3)).toEqual(['model.onnx', 'model.onnx_data', 'model.onnx_data_1']);
    const { use_external_data_format: parted } = JSON.parse(readFileSync(join(parts, 'config.json'), 'utf8'))['transformers.js_config'];
    expect(parted).toEqual({ 'model.onnx': files.length - 1 });
    expect(await written(parts, once, 200)).toBe(expected);
  });

  it('continues several texts of different lengths at once as each alone', async () => {
    const write = await pipeline('text-generation', basename(folder));
    const texts = ['The little dog was so happy that', once];
    // without a padding token of its own the end of text pads
    const together = await write(texts, { max_new_tokens: 40, do_sample: false });
    for (const [i, text] of texts.entries()) {
      const alone = await write(text, { max_new_tokens: 40, do_sample: false });
      expect(together[i]).toEqual(alone);
    }
    await write.dispose();
  });

  it('in 8 bits is a quarter of the size, and begins the same story', async () => {
    const small = join(root, 'quantized');
    await policy.exportOnnx(small, { quantized: true });
    const size = (path: string) => readFileSync(path).byteLength;
    expect(size(join(small, 'onnx/model_quantized.onnx'))).toBeLessThan(0.36 * size(join(folder, 'onnx/model.onnx')));
    expect((await written(small, once, 40)).slice(0, 90)).toBe(expected.slice(0, 90));
  });
});

describe('a trained policy with an adapter, exported as ONNX', () => {
  const files = trainTokenizer({ texts: ['the cat sat on the mat and the dog sat on the log'], vocabularySize: 300 });
  const tokenizer = Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig);
  const config = parseModelConfig({
    model_type: 'qwen2',
    hidden_size: 48,
    intermediate_size: 80,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: tokenizer.size,
    max_position_embeddings: 256,
    tie_word_embeddings: false,
  });
  const messages: ChatMessage[] = [{ role: 'user', content: 'the cat' }];

  it('answers a chat as the policy does', async () => {
    const policy = await LocalPolicy.create({
      config,
      tokenizer,
      seed: 3,
      lora: { rank: 4 },
      device: cpuDevice({ threads: 1 }),
      maxNewTokens: 24,
    });
    const prompt = policy.encodePrompt(messages);
    const answer = policy.encodeAssistant('the dog sat on the log, the cat on the mat');
    const example: TrainingSequence = {
      tokens: Int32Array.of(...prompt, ...answer),
      actionMask: Uint8Array.from({ length: prompt.length + answer.length }, (_, t) => Number(t >= prompt.length)),
    };
    const before = (await policy.act([{ dialogueId: 'a', messages, seed: 1 }], { temperature: 0 }))[0]!.text;
    for (let step = 0; step < 40; step++) {
      await policy.accumulateCrossEntropy([example], answer.length);
      await policy.update({ learningRate: 0.02, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 });
    }
    const folder = join(root, 'trained');
    await policy.exportOnnx(folder);
    const [action] = await policy.act([{ dialogueId: 'b', messages, seed: 1 }], { temperature: 0 });
    await policy.dispose();
    expect(action!.text).not.toBe(before);
    expect(await written(folder, messages, 24)).toBe(action!.text);
  });

  it('is written from the command line as well', async () => {
    const saved = join(root, 'saved');
    const policy = await LocalPolicy.create({ config, tokenizer, seed: 4, maxNewTokens: 12 });
    await policy.save(saved);
    const [action] = await policy.act([{ dialogueId: 'a', messages, seed: 1 }], { temperature: 0 });
    await policy.dispose();
    const exported = join(root, 'from-the-command-line');
    const { exitCode, stdout } = await commandLine(['export', '--policy', saved, '--onnx', exported, '--json']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ command: 'export', policy: saved, onnx: exported, quantized: false });
    expect(await written(exported, messages, 12)).toBe(action!.text);
  });
});
