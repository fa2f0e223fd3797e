import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';

const special = ['<unk>', '<user>', '<assistant>', '<end>'];

/**
 * Writes a whole text-generation model in the layout of transformers.js: a language model that knows one thing, which word follows
 * which. One ONNX node looks the logits up in a table; everything around it (tokenizer, chat template, generation) is the real thing.
 *
 * @param story the words in their order, all different; the answer begins with the first
 * @param last what follows the last word: the end of the text, or a word of the story to go on forever
 */
export function writeBigramModel(folder: string, story: readonly string[], last = '<end>'): void {
  const vocabulary = [...special, ...story];
  const id = (word: string) => vocabulary.indexOf(word);
  const size = vocabulary.length;
  const table = new Float32Array(size * size).fill(-100);
  const follow = (word: string, next: string) => {
    table[id(word) * size + id(next)] = 0;
  };
  follow('<assistant>', story[0]!);
  for (const [i, word] of story.entries()) follow(word, story[i + 1] ?? last);

  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const write = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));
  write('config.json', {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    vocab_size: size,
    hidden_size: 1,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    num_hidden_layers: 0,
    eos_token_id: id('<end>'),
  });
  write('generation_config.json', { eos_token_id: id('<end>'), do_sample: false });
  write('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    unk_token: '<unk>',
    eos_token: '<end>',
    chat_template: "{% for m in messages %}{{ '<' + m.role + '> ' + m.content + ' ' }}{% endfor %}<assistant>",
  });
  write('tokenizer.json', {
    version: '1.0',
    added_tokens: special.map((content, token) => ({
      id: token,
      content,
      special: true,
      single_word: false,
      lstrip: true,
      rstrip: true,
      normalized: false,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', vocab: Object.fromEntries(vocabulary.map((word, token) => [word, token])), unk_token: '<unk>' },
  });
  writeFileSync(join(folder, 'onnx', 'model.onnx'), tableLookup(table, size));
}

const field = (number: number, wireType: number) => (number << 3) | wireType;
const message = () => protobuf.Writer.create();

/** ModelProto of `logits[batch, time, size] = Gather(table[size, size], input_ids[batch, time])`; field numbers of onnx.proto3. */
function tableLookup(table: Float32Array, size: number): Uint8Array {
  const value = (name: string, type: number, rank: number) => {
    const shape = message();
    for (let axis = 0; axis < rank; axis++) shape.uint32(field(1, 2)).bytes(message().uint32(field(2, 2)).string(`d${axis}`).finish());
    const tensor = message().uint32(field(1, 0)).int32(type).uint32(field(2, 2)).bytes(shape.finish()).finish();
    return message()
      .uint32(field(1, 2))
      .string(name)
      .uint32(field(2, 2))
      .bytes(message().uint32(field(1, 2)).bytes(tensor).finish())
      .finish();
  };
  const node = message().uint32(field(1, 2)).string('table').uint32(field(1, 2)).string('input_ids').uint32(field(2, 2)).string('logits');
  node.uint32(field(4, 2)).string('Gather');
  const constant = message().uint32(field(1, 0)).int64(size).uint32(field(1, 0)).int64(size).uint32(field(2, 0)).int32(1);
  constant.uint32(field(8, 2)).string('table').uint32(field(9, 2)).bytes(new Uint8Array(table.buffer));
  const graph = message()
    .uint32(field(1, 2))
    .bytes(node.finish())
    .uint32(field(2, 2))
    .string('bigram')
    .uint32(field(5, 2))
    .bytes(constant.finish());
  graph
    .uint32(field(11, 2))
    .bytes(value('input_ids', 7, 2))
    .uint32(field(12, 2))
    .bytes(value('logits', 1, 3));
  const operators = message().uint32(field(1, 2)).string('').uint32(field(2, 0)).int64(17).finish();
  return message().uint32(field(1, 0)).int64(8).uint32(field(7, 2)).bytes(graph.finish()).uint32(field(8, 2)).bytes(operators).finish();
}
