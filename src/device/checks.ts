import { RlpaError } from '../errors';
import { type Shape, sameShape, sizeOf } from '../tensor/index';
import type { BuffersByName, DeviceBuffer, NumberArray, Program, RunOptions, SeriesOptions } from './device';

/** @throws `device-failed` if the data has not as many values as the shape */
export function checkBufferData(shape: Shape, data: NumberArray | undefined): void {
  if (!data || data.length === sizeOf(shape)) return;
  throw new RlpaError('device-failed', `A buffer of shape [${shape}] needs ${sizeOf(shape)} values, found ${data.length}.`);
}

/** @throws `device-failed` naming the input that is missing or of another size */
function checkInputs({ graph }: Program, inputs: Readonly<Record<string, NumberArray>>): void {
  for (const [name, { shape }] of graph.inputs) {
    const found = inputs[name]?.length;
    if (found === sizeOf(shape)) continue;
    const message = `Input ${name} of shape [${shape}] needs ${sizeOf(shape)} values, found ${found ?? 'none'}.`;
    throw new RlpaError('device-failed', message, { name });
  }
}

/** Whether a buffer can stand for one of this shape: itself, or by its first rows. */
function fits(buffer: Shape, shape: Shape): boolean {
  return sizeOf(buffer) === sizeOf(shape) || (buffer[0]! > shape[0]! && sameShape(buffer.slice(1), shape.slice(1)));
}

/** @throws `device-failed` naming the buffer that is missing or of another size */
function boundBuffers({ graph }: Program, buffers: NonNullable<RunOptions['buffers']>): Map<string, DeviceBuffer> {
  const given =
    typeof buffers.get === 'function' ? (buffers as BuffersByName) : new Map(Object.entries(buffers as Record<string, DeviceBuffer>));
  const bound = new Map<string, DeviceBuffer>();
  for (const [name, { shape }] of graph.buffers) {
    const buffer = given.get(name);
    if (!buffer || !fits(buffer.shape, shape)) {
      const message = `Buffer ${name} of shape [${shape}] was given ${buffer ? `[${buffer.shape}]` : 'nothing'}.`;
      throw new RlpaError('device-failed', message, { name });
    }
    bound.set(name, buffer);
  }
  return bound;
}

/**
 * What a program needs for a series of runs, by the names in its graph.
 *
 * @throws `device-failed` naming the input or buffer that is missing or of another size
 */
export function checkedSeries(program: Program, { inputs, buffers = {} }: SeriesOptions): Map<string, DeviceBuffer> {
  for (const each of inputs) checkInputs(program, each);
  return boundBuffers(program, buffers);
}
