import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RlpaError } from '../../src/errors';
import { Random } from '../../src/random';
import {
  assertFinite,
  decodeSafetensors,
  encodeSafetensors,
  readSafetensorsHeader,
  type StoredTensor,
  type TensorToStore,
  toFloat32Array,
  toInt32Array,
} from '../../src/transformer/index';
import { describeWithShared, sharedPath } from '../shared';

const weights = new Map<string, { shape: number[]; data: Float32Array | Int32Array }>([
  ['b.weight', { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 1e-30, 6) }],
  ['a.ids', { shape: [2], data: Int32Array.of(-7, 2 ** 31 - 1) }],
]);

/** A file with this header and so many bytes of data. */
function fileOf(header: string | object, dataBytes = 0): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  file.set(json, 8);
  return file;
}

function refusal(file: Uint8Array): RlpaError {
  try {
    decodeSafetensors(file, 'broken.safetensors');
  } catch (error) {
    if (RlpaError.isInstance(error)) return error;
    throw error;
  }
  throw new Error('was accepted');
}

const f32 = (shape: unknown, offsets: unknown) => ({ dtype: 'F32', shape, data_offsets: offsets });
const raw = (dtype: StoredTensor['dtype'], data: ArrayLike<number> & { buffer: ArrayBufferLike }): StoredTensor => ({
  dtype,
  shape: [data.length],
  data: new Uint8Array(data.buffer),
});

describe('safetensors', () => {
  it('reads back what it wrote, metadata included', () => {
    const file = encodeSafetensors(weights, { format: 'pt' });
    const tensors = decodeSafetensors(file, 'f');
    expect(toFloat32Array(tensors.get('b.weight')!)).toEqual(weights.get('b.weight')!.data);
    expect(toInt32Array(tensors.get('a.ids')!)).toEqual(weights.get('a.ids')!.data);
    expect(tensors.get('b.weight')!.shape).toEqual([2, 3]);
    expect(readSafetensorsHeader(file, file.byteLength, 'f').metadata).toEqual({ format: 'pt' });
  });

  it('starts the data, and every tensor, where its type can be read without copying', () => {
    const tensors = new Map<string, TensorToStore>([
      ['odd', raw('U8', Uint8Array.of(1, 2, 3))],
      ...weights,
      ['wide', raw('F64', Float64Array.of(1))],
    ]);
    const file = encodeSafetensors(tensors);
    const { entries } = readSafetensorsHeader(file, file.byteLength, 'f');
    expect(entries.get('wide')!.begin % 8).toBe(0);
    expect(entries.get('b.weight')!.begin % 4).toBe(0);
  });

  it('reads tensors that are not aligned', () => {
    const inner = encodeSafetensors(weights);
    const shifted = new Uint8Array(inner.byteLength + 1);
    shifted.set(inner, 1);
    expect(toFloat32Array(decodeSafetensors(shifted.subarray(1), 'f').get('b.weight')!)).toEqual(weights.get('b.weight')!.data);
  });

  it('widens half precision exactly', () => {
    // Bit patterns from IEEE 754: 1, -2, the largest 65504, the smallest subnormal 2^-24, 1/3 rounded, infinity.
    const halves = raw('F16', Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x3555, 0x7c00, 0x8000));
    expect([...toFloat32Array(halves)]).toEqual([1, -2, 65504, 2 ** -24, 0.333251953125, Number.POSITIVE_INFINITY, -0]);
    expect(toFloat32Array(raw('F16', Uint16Array.of(0x7e00)))[0]).toBeNaN();
    // bfloat16 is the upper half of float32: 1 = 3f80, -3.140625 = c049, 2^-126 = 0080.
    expect([...toFloat32Array(raw('BF16', Uint16Array.of(0x3f80, 0xc049, 0x0080)))]).toEqual([1, -3.140625, 2 ** -126]);
    expect([...toFloat32Array(raw('F64', Float64Array.of(0.1, -3)))]).toEqual([Math.fround(0.1), -3]);
  });

  it('narrows integers only where nothing is lost', () => {
    expect([...toInt32Array(raw('I64', BigInt64Array.of(-1n, 2147483647n, -2147483648n) as never))]).toEqual([-1, 2147483647, -2147483648]);
    expect(() => toInt32Array(raw('I64', BigInt64Array.of(2147483648n) as never))).toThrow(/32 bits/);
    expect([...toInt32Array(raw('BOOL', Uint8Array.of(0, 1)))]).toEqual([0, 1]);
    expect(() => toInt32Array(raw('F32', Float32Array.of(1)))).toThrow(/integers/);
    expect(() => toFloat32Array(raw('I32', Int32Array.of(1)))).toThrow(/floating-point/);
  });

  it('finds weights that are not finite', () => {
    expect(() => assertFinite(Float32Array.of(0, 1), 'w', 'f')).not.toThrow();
    expect(() => assertFinite(Float32Array.of(0, Number.NaN), 'w', 'f')).toThrow(
      "f: tensor 'w': expected finite values, found NaN at index 1",
    );
  });

  it('does not write a tensor whose shape is not that of its data', () => {
    expect(() => encodeSafetensors(new Map([['w', { shape: [3], data: Float32Array.of(1) }]]))).toThrow(
      /\[3\] of F32 takes 12 bytes, found 4/,
    );
  });

  it.each([
    ['an empty file', new Uint8Array(0), /at least 8 bytes, found 0/],
    ['a header that is longer than the file', fileOf('{}').subarray(0, 9), /claims 2 bytes, but only 1 follow/],
    ['a header of absurd length', Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x7b, 0x7d), /more than the 100000000/],
    ['a header that is not JSON', fileOf('{"a":'), /not JSON/],
    ['a header that is not UTF-8', fileOf({}).map((byte, i) => (i === 9 ? 0xff : byte)), /not JSON in UTF-8/],
    ['a header that is a list', fileOf('[]'), /JSON object/],
    ['metadata that is not text', fileOf({ __metadata__: { a: 1 } }), /__metadata__/],
    ['a tensor that is no object', fileOf({ w: 3 }), /tensor 'w'/],
    [
      'an unknown element type',
      fileOf({ w: { ...f32([1], [0, 4]), dtype: 'F8_E4M3' } }, 4),
      /tensor 'w': expected a dtype among .*, found "F8_E4M3"/,
    ],
    ['an element type by way of the prototype', fileOf({ w: { ...f32([1], [0, 4]), dtype: 'constructor' } }, 4), /expected a dtype/],
    ['a negative extent', fileOf({ w: f32([-1], [0, 4]) }, 4), /non-negative integers/],
    ['an extent that is no number', fileOf({ w: f32(['1'], [0, 4]) }, 4), /non-negative integers/],
    ['offsets beyond the file', fileOf({ w: f32([2], [0, 8]) }, 4), /within the file's 4 bytes/],
    ['offsets the wrong way round', fileOf({ w: f32([1], [4, 0]) }, 4), /within the file/],
    ['three offsets', fileOf({ w: f32([1], [0, 4, 8]) }, 4), /two non-negative integers/],
    ['a shape that is not the length', fileOf({ w: f32([2, 2], [0, 4]) }, 4), /expected 16 bytes for shape \[2,2\] of F32, found 4/],
    ['a shape whose product overflows', fileOf({ w: f32([2 ** 52, 2 ** 52, 2 ** 52], [0, 4]) }, 4), /expected .* bytes/],
    ['overlapping tensors', fileOf({ a: f32([2], [0, 8]), b: f32([1], [4, 8]) }, 8), /'b' overlaps/],
    ['a hole between tensors', fileOf({ a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12), /4 bytes before tensor 'b'/],
    ['bytes after the last tensor', fileOf({ a: f32([1], [0, 4]) }, 7), /3 bytes after the last tensor/],
  ])('refuses %s and names the file', (_, file, message) => {
    const error = refusal(file);
    expect(error.code).toBe('invalid-file');
    expect(error.message).toMatch(message);
    expect(error.details.file).toBe('broken.safetensors');
  });
});

describeWithShared('safetensors of other programs', 'golden', () => {
  const bytes = new Uint8Array(readFileSync(sharedPath('golden/qwen2-tied/inputs.safetensors')));

  it('are read with their integers and floats', () => {
    const tensors = decodeSafetensors(bytes, 'inputs');
    expect(tensors.get('input_ids')!.shape).toEqual([4, 24]);
    const mask = toInt32Array(tensors.get('action_mask')!);
    expect(mask).toHaveLength(4 * 23);
    expect(mask.every((value) => value === 0 || value === 1)).toBe(true);
    expect(() => assertFinite(toFloat32Array(tensors.get('advantages')!), 'advantages', 'inputs')).not.toThrow();
  });

  it('read back the same after being written by us', () => {
    const tensors = decodeSafetensors(bytes, 'inputs');
    const again = decodeSafetensors(encodeSafetensors(tensors), 'again');
    for (const [name, tensor] of tensors) expect(again.get(name)).toEqual(tensor);
  });

  it('give the right tensors or a refusal, and nothing else, under 2,000 random mutations', () => {
    const dice = new Random(20240611);
    const headerEnd = 8 + 800;
    const outcomes = { refused: 0, read: 0 };
    for (let round = 0; round < 2000; round++) {
      const file = mutate(bytes, headerEnd, dice.split(round));
      try {
        const tensors = decodeSafetensors(file, 'mutated');
        let total = 0;
        for (const { dtype, shape, data } of tensors.values()) {
          total += data.byteLength;
          expect(data.byteLength).toBe(
            shape.reduce((a, b) => a * b, 1) * { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, U8: 1, BOOL: 1 }[dtype],
          );
          // A view of the file, so nothing was allocated by what the header claims.
          expect(data.buffer).toBe(file.buffer);
        }
        // Every byte after the header belongs to one tensor.
        expect(total).toBe(file.byteLength - 8 - new DataView(file.buffer).getUint32(0, true));
        outcomes.read++;
      } catch (error) {
        if (!RlpaError.isInstance(error)) throw error;
        expect(error.code).toBe('invalid-file');
        outcomes.refused++;
      }
    }
    // Most damage in the header is refused; damage in the data alone cannot be seen and is read as it stands.
    expect(outcomes.refused).toBeGreaterThan(1000);
    expect(outcomes.read).toBeGreaterThan(100);
  });
});

/** Flips bits, cuts, grows, or rewrites a number of the header. */
function mutate(bytes: Uint8Array, headerEnd: number, dice: Random): Uint8Array {
  switch (dice.integer(6)) {
    case 0:
      return bytes.slice(0, dice.integer(bytes.byteLength));
    case 1: {
      const longer = new Uint8Array(bytes.byteLength + 1 + dice.integer(64));
      longer.set(bytes);
      return longer;
    }
    case 2: {
      const copy = bytes.slice();
      copy[dice.integer(8)]! ^= 1 << dice.integer(8);
      return copy;
    }
    case 3: {
      const copy = bytes.slice();
      for (let flips = 1 + dice.integer(3); flips > 0; flips--) copy[8 + dice.integer(headerEnd - 8)]! ^= 1 << dice.integer(8);
      return copy;
    }
    case 4: {
      // Another number for one of the header's, of the same number of digits, so that the JSON stays whole.
      const copy = bytes.slice();
      const digits = [...copy.keys()].slice(8, headerEnd).filter((i) => copy[i]! >= 0x30 && copy[i]! <= 0x39);
      copy[dice.pick(digits)] = 0x30 + dice.integer(10);
      return copy;
    }
    default: {
      const copy = bytes.slice();
      copy[headerEnd + dice.integer(bytes.byteLength - headerEnd)]! ^= 1 << dice.integer(8);
      return copy;
    }
  }
}
