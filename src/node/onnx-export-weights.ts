import type { ExternalBytes, Name, OnnxModel } from '../device/cpu/index';
import type { Weights } from '../policy/index';
import type { ExportedWeights } from './onnx-export-decoder';

/** Where the bytes of a tensor go: into the model itself, or into a file beside it. */
export type Placement = (bytes: Uint8Array) => Uint8Array | ExternalBytes;

const contrib = 'com.microsoft';
const types = { f32: 1 };

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** Every tensor once, under its own name. */
function once(build: (model: OnnxModel, name: string) => Name): (model: OnnxModel, name: string) => Name {
  const written = new Set<string>();
  return (model, name) => {
    if (written.has(name)) return name;
    written.add(name);
    return build(model, name);
  };
}

/** The weights as they are, in float32. */
export function plainWeights(weights: Weights, place: Placement): ExportedWeights {
  const tensor = once((model, name) => {
    const { shape, data } = weights.get(name)!;
    return model.initializer(name, 'f32', shape, place(bytesOf(data)));
  });
  return {
    // the weight of Hugging Face's layout is the transposed operand: nothing is transposed
    linear: (model, x, weight, bias) =>
      model.node('Gemm', [x, tensor(model, weight), ...(bias === undefined ? [] : [tensor(model, bias)])], { transB: { int: 1 } }),
    rows: (model, weight, indices) => model.node('Gather', [tensor(model, weight), indices], { axis: { int: 0 } }),
    vector: tensor,
  };
}

/** Values of a matrix's row that share a scale. */
const blockSize = 32;

/**
 * Matrices in 8 bits: blocks of 32 values of a row, each with the scale that puts its largest at 127 and 128 as the zero, in the layout of
 * onnxruntime's MatMulNBits. Vectors stay as they are.
 */
export function quantizedWeights(weights: Weights, place: Placement): ExportedWeights {
  const plain = plainWeights(weights, place);
  const blocks = new Map<string, { values: Name; scales: Name }>();
  const matrix = (model: OnnxModel, name: string) => {
    let found = blocks.get(name);
    if (found === undefined) {
      const { shape, data } = weights.get(name)!;
      const [rows, columns] = shape as readonly [number, number];
      const { values, scales } = quantize(data, rows, columns);
      const count = Math.ceil(columns / blockSize);
      found = {
        values: model.initializer(`${name}_quantized`, 'u8', [rows, count, blockSize], place(values)),
        scales: model.initializer(`${name}_scales`, 'f32', [rows, count], place(bytesOf(scales))),
      };
      blocks.set(name, found);
    }
    return found;
  };
  return {
    linear(model, x, weight, bias) {
      const [rows, columns] = weights.get(weight)!.shape as readonly [number, number];
      const { values, scales } = matrix(model, weight);
      const attributes = { N: { int: rows }, K: { int: columns }, bits: { int: 8 }, block_size: { int: blockSize } };
      const y = model.node('MatMulNBits', [x, values, scales], attributes, contrib);
      return bias === undefined ? y : model.node('Add', [y, plain.vector(model, bias)]);
    },
    rows(model, weight, indices) {
      const [, columns] = weights.get(weight)!.shape as readonly [number, number];
      const { values, scales } = matrix(model, weight);
      const take = (from: Name) => model.node('Gather', [from, indices], { axis: { int: 0 } });
      const centred = model.node('Sub', [model.node('Cast', [take(values)], { to: { int: types.f32 } }), model.float(128)]);
      const scaled = model.node('Mul', [centred, model.node('Unsqueeze', [take(scales), model.integers(2)])]);
      const width = Math.ceil(columns / blockSize) * blockSize;
      const joined = model.node('Reshape', [scaled, model.integers(-1, width)]);
      return width === columns ? joined : model.node('Slice', [joined, model.integers(0), model.integers(columns), model.integers(1)]);
    },
    vector: plain.vector,
  };
}

function quantize(data: Float32Array, rows: number, columns: number): { values: Uint8Array; scales: Float32Array } {
  const count = Math.ceil(columns / blockSize);
  const values = new Uint8Array(rows * count * blockSize).fill(128);
  const scales = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < count; block++) {
      const start = row * columns + block * blockSize;
      const part = data.subarray(start, Math.min(start + blockSize, (row + 1) * columns));
      const scale = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
      scales[row * count + block] = scale;
      if (scale === 0) continue;
      const target = (row * count + block) * blockSize;
      for (let i = 0; i < part.length; i++) values[target + i] = 128 + Math.round(part[i]! / scale);
    }
  }
  return { values, scales };
}
