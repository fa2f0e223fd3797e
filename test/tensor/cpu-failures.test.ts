import { afterAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import { Graph, matmul, sum } from '../../src/tensor/index';

/** More bytes than a process can have. */
const tooMany = 2 ** 47;

describe('a CPU device without memory', () => {
  const device = cpuDevice({ threads: 1 });
  afterAll(() => device.dispose());

  const failure = (bytes: number) => ({
    code: 'device-failed',
    message: `There is no memory for ${bytes} bytes: use smaller micro-batches (microBatchTokens), an adapter (lora) instead of all weights, or a smaller model.`,
    details: { bytes, outOfMemory: true },
  });

  it('says so of the buffer that there is none for, as often as that is used, and goes on with the others', async () => {
    const small = device.create([2], 'f32', Float32Array.of(1, 2));
    const large = device.create([2 ** 23, tooMany / 2 ** 25], 'f32');
    for (let times = 0; times < 2; times++) {
      await expect(device.read(large)).rejects.toMatchObject(failure(tooMany));
      expect(await device.read(small)).toEqual(Float32Array.of(1, 2));
    }
    device.release([large]);
    await expect(device.read(large)).rejects.toMatchObject({ message: `Buffer ${large.id} was released.` });
    expect(await device.read(small)).toEqual(Float32Array.of(1, 2));
  });

  it('says so of what a program computes on the way', async () => {
    const rows = 2 ** 23;
    const graph = new Graph();
    graph.output('y', sum(matmul(graph.input('a', [rows, 1]), graph.input('b', [1, rows]))));
    const program = await device.compile(graph);
    const inputs = { a: new Float32Array(rows), b: new Float32Array(rows) };
    await expect(device.run(program, { inputs })).rejects.toMatchObject(failure(4 * rows ** 2));
  });
});
