import { afterAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device, NumberArray } from '../../src/device/index';
import { Random } from '../../src/random';
import { attention, cachedAttention, Graph, gradients, multiply, sizeOf, sum } from '../../src/tensor/index';
import { devices } from '../device';

// head sizes of pretrained models, and rows of more than one tile: the other suites' models have small heads and short rows
const shapes = [
  { batch: 2, length: 70, heads: 3, kvHeads: 1, headSize: 32 },
  { batch: 1, length: 40, heads: 4, kvHeads: 2, headSize: 64 },
  { batch: 2, length: 33, heads: 2, kvHeads: 1, headSize: 128 },
  { batch: 1, length: 20, heads: 2, kvHeads: 2, headSize: 6 },
];

const random = new Random(5);
const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());

/** The largest difference, as a part of the largest value. */
function difference(found: NumberArray, expected: NumberArray): number {
  expect(found.length).toBe(expected.length);
  const largest = (values: Iterable<number>) => Array.from(values).reduce((a, b) => Math.max(a, b), 0);
  return largest(Array.from(expected, (value, i) => Math.abs(found[i]! - value))) / largest(Array.from(expected, Math.abs));
}

describe.skipIf(!devices.webgpu)('attention on webgpu', async () => {
  const gpu: Device = await devices.webgpu!();
  const cpu = cpuDevice({ threads: 2 });
  afterAll(async () => {
    await Promise.all([gpu.dispose(), cpu.dispose()]);
  });

  async function onBoth(graph: Graph, inputs: Record<string, NumberArray>, buffers: Record<string, Float32Array> = {}) {
    return Promise.all(
      [gpu, cpu].map(async (device) => {
        const held = Object.fromEntries(
          Object.entries(buffers).map(([name, data]) => [name, device.create(graph.buffers.get(name)!.shape, 'f32', data)]),
        );
        const outputs = await device.run(await device.compile(graph), { inputs, buffers: held });
        for (const [name, buffer] of Object.entries(held)) outputs[name] = await device.read(buffer);
        return outputs;
      }),
    ) as Promise<[Record<string, NumberArray>, Record<string, NumberArray>]>;
  }

  describe.each(shapes)('with $heads heads of $headSize over $kvHeads', (shape) => {
    const { batch, length, heads, kvHeads, headSize } = shape;
    const queryShape = [batch * length, heads * headSize];
    const keyShape = [batch * length, kvHeads * headSize];

    it.each([
      ['a row a sequence', undefined],
      ['sequences and padding in a row', (t: number) => (t % length < 5 ? -1 : Math.floor(t / 16))],
    ])('has the results and the gradients of the cpu, %s', async (_, segmentOf) => {
      const graph = new Graph();
      const tensors = [graph.input('q', queryShape), graph.input('k', keyShape), graph.input('v', keyShape)] as const;
      const marks = segmentOf && graph.input('segments', [batch * length], 'i32');
      const y = attention(...tensors, shape, marks);
      graph.output('y', y);
      const found = await gradients(sum(multiply(y, graph.input('weights', queryShape))), [...tensors]);
      for (const [i, gradient] of found.entries()) graph.output(`gradient of ${'qkv'[i]}`, gradient!);
      const inputs: Record<string, NumberArray> = {};
      for (const [name, tensor] of graph.inputs) inputs[name] = normal(sizeOf(tensor.shape));
      if (segmentOf) inputs.segments = Int32Array.from({ length: batch * length }, (_, t) => segmentOf(t));
      const [ours, expected] = await onBoth(graph, inputs);
      for (const name of Object.keys(expected)) expect(difference(ours[name]!, expected[name]!), name).toBeLessThan(1e-5);
    });

    it.each([
      [1, 'its first rows'],
      [9, 'its first rows'],
      [20, 'its first rows'],
      [1, 'some of its rows'],
      [20, 'some of its rows'],
    ])('has the results of the cpu over a cache, %i new tokens for each of %s', async (fresh, which) => {
      const graph = new Graph();
      const capacity = 150;
      // the last one comes first, and one of them is not computed
      const chosen = which === 'some of its rows' ? Int32Array.from({ length: batch }, (_, b) => batch - b) : undefined;
      const held = chosen ? batch + 1 : batch;
      const rows = chosen && graph.input('rows', [batch], 'i32');
      const part = (name: string, count: number) => graph.input(name, [batch * fresh, count * headSize]);
      const [q, k, v] = [part('q', heads), part('k', kvHeads), part('v', kvHeads)];
      const [lengths, counts] = [graph.input('lengths', [batch], 'i32'), graph.input('counts', [batch], 'i32')];
      const cache = ['keys', 'values'].map((name) => graph.buffer(name, [held, kvHeads, capacity, headSize]));
      const known = { keys: cache[0]!, values: cache[1]!, lengths, rows, filled: 140 };
      graph.output('y', cachedAttention(q, k, v, known, { ...shape, length: fresh }));
      graph.append({ buffer: 'keys', value: k, offsets: lengths, counts, rows });
      graph.append({ buffer: 'values', value: v, offsets: lengths, counts, rows });
      const inputs: Record<string, NumberArray> = {};
      for (const [name, tensor] of graph.inputs) inputs[name] = normal(sizeOf(tensor.shape));
      inputs.lengths = Int32Array.from([130, 0].slice(0, batch));
      inputs.counts = Int32Array.from([fresh, fresh - 1].slice(0, batch));
      if (chosen) inputs.rows = chosen;
      const size = held * kvHeads * capacity * headSize;
      const [found, expected] = await onBoth(graph, inputs, { keys: normal(size), values: normal(size) });
      expect(difference(found.y!, expected.y!)).toBeLessThan(1e-5);
      // what stands behind the new entries is undefined
      const filled = (cache: NumberArray) =>
        Array.from({ length: batch * kvHeads }, (_, strip) => {
          const row = Math.floor(strip / kvHeads);
          const start = ((chosen?.[row] ?? row) * kvHeads + (strip % kvHeads)) * capacity * headSize;
          return cache.slice(start, start + (inputs.lengths![row]! + inputs.counts![row]!) * headSize);
        });
      expect(filled(found.keys!)).toEqual(filled(expected.keys!));
      expect(filled(found.values!)).toEqual(filled(expected.values!));
    });
  });
});
