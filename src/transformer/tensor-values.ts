import { RlpaError } from '../errors';
import { halfToFloat32 } from './half';
import { bytesPerElement, type StoredTensor } from './safetensors';

/**
 * The values of an F32, F16, BF16 or F64 tensor. May share memory with `tensor.data` where nothing needs converting.
 *
 * @throws RlpaError `invalid-file` for other types
 */
export function toFloat32Array(tensor: StoredTensor): Float32Array {
  switch (tensor.dtype) {
    case 'F32': {
      const data = aligned(tensor);
      return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
    }
    case 'F64': {
      const data = aligned(tensor);
      return Float32Array.from(new Float64Array(data.buffer, data.byteOffset, data.byteLength / 8));
    }
    case 'BF16': {
      const halves = uint16s(tensor);
      const bits = new Uint32Array(halves.length);
      for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
      return new Float32Array(bits.buffer);
    }
    case 'F16':
      return halfToFloat32(uint16s(tensor));
    default:
      throw new RlpaError('invalid-file', `Expected a tensor of floating-point values, found ${tensor.dtype}.`, { dtype: tensor.dtype });
  }
}

/**
 * The values of an I64, I32, U8 or BOOL tensor. May share memory with `tensor.data` where nothing needs converting.
 *
 * @throws RlpaError `invalid-file` for other types and for values beyond 32 bits
 */
export function toInt32Array(tensor: StoredTensor): Int32Array {
  switch (tensor.dtype) {
    case 'I32': {
      const data = aligned(tensor);
      return new Int32Array(data.buffer, data.byteOffset, data.byteLength / 4);
    }
    case 'I64': {
      const data = aligned(tensor);
      const words = new Int32Array(data.buffer, data.byteOffset, data.byteLength / 4);
      const values = new Int32Array(words.length / 2);
      for (let i = 0; i < values.length; i++) {
        const low = words[2 * i]!;
        if (words[2 * i + 1] !== low >> 31) {
          throw new RlpaError('invalid-file', `Expected integers of 32 bits, found a larger one at index ${i}.`, { index: i });
        }
        values[i] = low;
      }
      return values;
    }
    case 'U8':
    case 'BOOL':
      return Int32Array.from(tensor.data);
    default:
      throw new RlpaError('invalid-file', `Expected a tensor of integers, found ${tensor.dtype}.`, { dtype: tensor.dtype });
  }
}

/**
 * Refuses NaN and infinite values.
 *
 * @throws RlpaError `invalid-file` naming the tensor and the first such index
 */
export function assertFinite(data: Float32Array, tensor: string, file: string): void {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      throw new RlpaError('invalid-file', `${file}: tensor '${tensor}': expected finite values, found ${data[i]} at index ${i}.`, {
        file,
        tensor,
      });
    }
  }
}

/** The bytes at an address that a typed array of the element's width can start at. */
function aligned(tensor: StoredTensor): Uint8Array {
  return tensor.data.byteOffset % bytesPerElement[tensor.dtype] === 0 ? tensor.data : tensor.data.slice();
}

function uint16s(tensor: StoredTensor): Uint16Array {
  const data = aligned(tensor);
  return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
}
