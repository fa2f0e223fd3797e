import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device, DeviceBuffer, DeviceLane, Program } from '../../src/device/index';
import { add, Graph, matmul, multiply, sum } from '../../src/tensor/index';

/** total = Σ x·w, and the buffer `count` grows by one. */
function graphOf(size: number): Graph {
  const graph = new Graph();
  const weights = graph.buffer('weights', [size, size]);
  graph.output('total', sum(matmul(graph.input('x', [size, size]), weights)));
  const count = graph.buffer('count', [1]);
  graph.assign('count', add(count, graph.input('one', [1])));
  graph.output('counted', count);
  return graph;
}
const size = 256;
const inputs = { x: new Float32Array(size * size).fill(1), one: Float32Array.of(1) };

describe('the lanes of a CPU device', () => {
  let device: Device;
  let lanes: readonly DeviceLane[];
  let programs: Program[];
  let counts: DeviceBuffer[];
  let weights: DeviceBuffer;
  const filledWith = (value: number) => new Float32Array(size * size).fill(value);
  const run = async (lane: number, times = 1) => {
    const given = { inputs: Array.from({ length: times }, () => inputs), buffers: { weights, count: counts[lane]! } };
    return (await lanes[lane]!.runSeries(programs[lane]!, given)).map(({ total }) => total![0]! / size ** 3);
  };
  beforeAll(async () => {
    device = cpuDevice({ threads: 2 });
    lanes = device.lanes;
    weights = device.create([size, size], 'f32', filledWith(1));
    counts = lanes.map((lane) => lane.create([1], 'f32', Float32Array.of(0)));
    programs = await Promise.all(lanes.map((lane) => lane.compile(graphOf(size), { beside: true })));
  });
  afterAll(() => device.dispose());

  it('read what the device has written, each in the order in which it was asked', async () => {
    expect(lanes).toHaveLength(2);
    const found = [run(0, 20), run(1, 20)];
    device.write(weights, filledWith(2));
    found.push(run(1, 3), run(0, 3));
    device.write(weights, filledWith(3));
    found.push(run(0), run(1));
    expect(await Promise.all(found)).toEqual([Array(20).fill(1), Array(20).fill(1), [2, 2, 2], [2, 2, 2], [3], [3]]);
  });

  it('read what a program of the device has assigned', async () => {
    const graph = new Graph();
    const old = graph.buffer('weights', [size, size]);
    graph.assign('weights', multiply(old, old));
    const squared = await device.compile(graph);
    device.write(weights, filledWith(3));
    const found = [run(1), run(0)];
    const squaring = device.run(squared, { buffers: { weights } });
    found.push(run(1), run(0));
    expect(await Promise.all(found)).toEqual([[3], [3], [9], [9]]);
    await squaring;
  });

  it('write what was made in them', async () => {
    const before = await lanes[1]!.read(counts[1]!);
    await run(1, 5);
    expect((await lanes[1]!.read(counts[1]!))[0]).toBe(before[0]! + 5);
  });

  it('do not wait for each other', async () => {
    const finished: string[] = [];
    await Promise.all([
      run(0, 1500).then(() => finished.push('the long one, which was begun first')),
      run(1).then(() => finished.push('the short one')),
    ]);
    expect(finished).toEqual(['the short one', 'the long one, which was begun first']);
  });

  it('say what one of them was not able to do, and go on', async () => {
    const wrong = lanes[1]!.run(programs[0]!, { inputs, buffers: { weights, count: counts[0]! } });
    await expect(wrong).rejects.toMatchObject({ code: 'device-failed' });
    await expect(run(1)).resolves.toHaveLength(1);
    await expect(run(0)).resolves.toHaveLength(1);
  });

  it('do not see a buffer that the device has released', async () => {
    const gone = device.create([size, size], 'f32', filledWith(5));
    const buffers = { weights: gone, count: counts[1]! };
    await lanes[1]!.run(programs[1]!, { inputs, buffers });
    device.release([gone]);
    await expect(lanes[1]!.run(programs[1]!, { inputs, buffers })).rejects.toMatchObject({
      message: `Buffer ${gone.id} was released.`,
    });
  });

  it('are none where there is one thread', async () => {
    const single = cpuDevice({ threads: 1 });
    expect(single.lanes).toEqual([]);
    await single.dispose();
  });
});

it('releases a buffer once, whoever has its number then', async () => {
  const device = cpuDevice({ threads: 1 });
  const first = device.create([1], 'f32', Float32Array.of(1));
  device.release([first]);
  const second = device.create([1], 'f32', Float32Array.of(2));
  device.release([first]);
  expect(await device.read(second)).toEqual(Float32Array.of(2));
  await device.dispose();
});

it('ends with all its lanes, and refuses what is asked of them afterwards', async () => {
  const device = cpuDevice({ threads: 2 });
  const [, other] = device.lanes;
  const buffer = other!.create([1], 'f32', Float32Array.of(1));
  expect(await other!.read(buffer)).toEqual(Float32Array.of(1));
  await device.dispose();
  await expect(other!.read(buffer)).rejects.toMatchObject({ code: 'device-failed' });
});
