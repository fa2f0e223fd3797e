import type { Shape } from '../../tensor/index';
import type { NumberArray } from '../device';
import type { OnnxRuntime, OnnxValue, Pointer } from './onnxruntime';

/** A buffer's numbers, and the tensors that programs see in them: one for each shape that some program reads them in. */
export class DeviceMemory {
  #data: NumberArray;
  readonly #values = new Map<string, OnnxValue>();
  /** What was asked for last: mostly the same program reads a buffer again and again. */
  #latest: { readonly shape: Shape; readonly pointer: Pointer } | undefined;

  constructor(data: NumberArray) {
    this.#data = data;
  }

  get data(): NumberArray {
    return this.#data;
  }

  pointer(runtime: OnnxRuntime, shape: Shape): Pointer {
    if (this.#latest?.shape === shape) return this.#latest.pointer;
    const key = String(shape);
    let value = this.#values.get(key);
    if (!value) {
      value = runtime.value(this.#data, shape);
      this.#values.set(key, value);
    }
    this.#latest = { shape, pointer: value.pointer };
    return value.pointer;
  }

  /** Other numbers, in memory of their own. */
  replace(data: NumberArray): void {
    this.release();
    this.#data = data;
  }

  /** What a program has computed, without a copy. */
  adopt(value: OnnxValue, shape: Shape): void {
    this.replace(value.data);
    this.#values.set(String(shape), value);
  }

  release(): void {
    for (const value of this.#values.values()) value.release();
    this.#values.clear();
    this.#latest = undefined;
  }
}
