import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';

/** Each word's vector. The model looks them up; the pipeline's mean pooling does the rest. */
export type WordVectors = Readonly<Record<string, readonly number[]>>;

/** Writes a feature-extraction model in the layout of the Hugging Face Hub: a word-level tokenizer and an ONNX graph of one Gather. */
export function writeTinyEmbeddingModel(folder: string, words: WordVectors): void {
  const vocabulary = ['[UNK]', ...Object.keys(words)];
  const width = Object.values(words)[0]!.length;
  const table = vocabulary.flatMap((word) => words[word] ?? new Array<number>(width).fill(0));
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const write = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));
  write('config.json', { model_type: 'bert', hidden_size: width, vocab_size: vocabulary.length });
  write('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    unk_token: '[UNK]',
    pad_token: '[UNK]',
    model_max_length: 64,
  });
  write('tokenizer.json', {
    version: '1.0',
    added_tokens: [{ id: 0, content: '[UNK]', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', unk_token: '[UNK]', vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])) },
  });
  writeFileSync(join(folder, 'onnx', 'model.onnx'), gatherModel(table, [vocabulary.length, width]));
}

type Message = (writer: protobuf.Writer) => void;

/** A ModelProto; the field numbers are those of onnx.proto. */
function gatherModel(table: readonly number[], [rows, width]: readonly [number, number]): Uint8Array {
  const message = (writer: protobuf.Writer, field: number, content: Message) => {
    writer.uint32((field << 3) | 2).fork();
    content(writer);
    writer.ldelim();
  };
  const text = (writer: protobuf.Writer, field: number, value: string) => writer.uint32((field << 3) | 2).string(value);
  const integer = (writer: protobuf.Writer, field: number, value: number) => writer.uint32(field << 3).int64(value);
  const valueInfo =
    (name: string, type: number, shape: readonly (string | number)[]): Message =>
    (writer) => {
      text(writer, 1, name);
      message(writer, 2, (typeProto) =>
        message(typeProto, 1, (tensor) => {
          integer(tensor, 1, type);
          message(tensor, 2, (shapeProto) => {
            for (const size of shape)
              message(shapeProto, 1, (each) => (typeof size === 'string' ? text(each, 2, size) : integer(each, 1, size)));
          });
        }),
      );
    };
  const [float, int64] = [1, 7];
  const model = protobuf.Writer.create();
  integer(model, 1, 8);
  message(model, 7, (graph) => {
    message(graph, 1, (node) => {
      text(node, 1, 'table');
      text(node, 1, 'input_ids');
      text(node, 2, 'last_hidden_state');
      text(node, 4, 'Gather');
    });
    text(graph, 2, 'tiny');
    message(graph, 5, (tensor) => {
      integer(tensor, 1, rows);
      integer(tensor, 1, width);
      integer(tensor, 2, float);
      text(tensor, 8, 'table');
      tensor.uint32((9 << 3) | 2).bytes(new Uint8Array(new Float32Array(table).buffer));
    });
    for (const name of ['input_ids', 'attention_mask', 'token_type_ids']) message(graph, 11, valueInfo(name, int64, ['batch', 'length']));
    message(graph, 12, valueInfo('last_hidden_state', float, ['batch', 'length', width]));
  });
  message(model, 8, (opset) => integer(opset, 2, 13));
  return model.finish();
}
