/**
 * Writes a model folder of Qwen2.5-0.5B's sizes with random weights: what it says is noise, but it is as large and as slow as the real one.
 *
 *     npx tsx bench/make-model.ts FOLDER TOKENIZER_FOLDER [--dtype f32|bf16|f16] [--shard-bytes N]
 *
 * TOKENIZER_FOLDER holds the tokenizer.json, tokenizer_config.json and config.json of the model whose sizes it takes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeModelFolder } from '../src/node/index';
import { Random } from '../src/random';
import { parameterShapes, parseModelConfig, type TensorToStore, Tokenizer } from '../src/transformer/index';
import { readArguments } from './arguments';

const { values: options, positionals } = readArguments({
  allowPositionals: true,
  options: { dtype: { type: 'string', default: 'f32' }, 'shard-bytes': { type: 'string', default: '5e9' } },
});
const [folder, source] = positionals as [string, string];
const read = (name: string) => JSON.parse(readFileSync(join(source, name), 'utf8'));
const config = parseModelConfig(read('config.json'));
const shapes = parameterShapes(config);
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Random numbers that all tensors share, each from another place on: for their speed it does not matter. */
const most = Math.max(...[...shapes.values()].map(size));
const stream = new Random(0);
const block = Float32Array.from({ length: 1 << 20 }, () => stream.normal() * 0.02);
const noise = new Float32Array(most + (1 << 20));
for (let at = 0; at < noise.length; at += block.length) noise.set(block.subarray(0, Math.min(block.length, noise.length - at)), at);
const halves = options.dtype === 'f32' ? undefined : new Uint16Array(noise.length);
const ones = (dtype: string) => (dtype === 'bf16' ? 0x3f80 : 0x3c00);

const scratch = new Float32Array(1);
const bits = new Uint32Array(scratch.buffer);
function toBfloat16(value: number): number {
  scratch[0] = value;
  return bits[0]! >>> 16;
}
/** Truncated; the values here are far from the ends of the range. */
function toFloat16(value: number): number {
  scratch[0] = value;
  const exponent = ((bits[0]! >>> 23) & 0xff) - 112;
  return ((bits[0]! >>> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((bits[0]! >>> 13) & 0x3ff));
}

const narrow = options.dtype === 'bf16' ? toBfloat16 : toFloat16;
if (halves !== undefined) for (let i = 0; i < halves.length; i++) halves[i] = narrow(noise[i]!);

const tensors = new Map<string, TensorToStore>();
for (const [name, shape] of shapes) {
  const length = size(shape);
  const from = (tensors.size * 7919) & 0xffff;
  if (halves === undefined) {
    tensors.set(name, { shape, data: name.includes('norm') ? new Float32Array(length).fill(1) : noise.subarray(from, from + length) });
  } else {
    const values = name.includes('norm') ? new Uint16Array(length).fill(ones(options.dtype)) : halves.subarray(from, from + length);
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    tensors.set(name, { dtype: options.dtype === 'bf16' ? 'BF16' : 'F16', shape, data });
  }
}
const tokenizer = Tokenizer.fromJSON(read('tokenizer.json'), read('tokenizer_config.json'));
await writeModelFolder(folder, { config, tensors, tokenizer, maxShardBytes: Number(options['shard-bytes']) });
console.log(
  `${folder}: ${[...shapes.values()]
    .map(size)
    .reduce((a, b) => a + b, 0)
    .toLocaleString('en')} parameters in ${options.dtype}`,
);
