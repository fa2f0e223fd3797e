import { RlpaError } from '../errors';
import { type Shape, sizeOf } from '../tensor/index';
import type { DeviceBuffer, NumberArray, Program, RunOptions } from './device';

/** @throws `device-failed` if the data has not as many values as the shape */
export function checkBufferData(shape: Shape, data: NumberArray | undefined): void {
  if (!data || data.length === sizeOf(shape)) return;
  throw new RlpaError('device-failed', `A buffer of shape [${shape}] needs ${sizeOf(shape)} values, found ${data.length}.`);
}

/**
 * What a program needs for a run, by the names in its graph.
 *
 * @throws `device-failed` naming the input or buffer that is missing or of another size
 */
export function boundBuffers({ graph }: Program, { inputs = {}, buffers = {} }: RunOptions): Map<string, DeviceBuffer> {
  for (const [name, tensor] of graph.inputs) {
    const found = inputs[name]?.length;
    if (found !== sizeOf(tensor.shape)) {
      throw new RlpaError(
        'device-failed',
        `Input ${name} of shape [${tensor.shape}] needs ${sizeOf(tensor.shape)} values, found ${found ?? 'none'}.`,
        { name },
      );
    }
  }
  const given = buffers instanceof Map ? buffers : new Map(Object.entries(buffers as Record<string, DeviceBuffer>));
  const bound = new Map<string, DeviceBuffer>();
  for (const [name, tensor] of graph.buffers) {
    const buffer = given.get(name);
    if (!buffer || sizeOf(buffer.shape) !== sizeOf(tensor.shape)) {
      throw new RlpaError(
        'device-failed',
        `Buffer ${name} of shape [${tensor.shape}] was given ${buffer ? `[${buffer.shape}]` : 'nothing'}.`,
        {
          name,
        },
      );
    }
    bound.set(name, buffer);
  }
  return bound;
}
