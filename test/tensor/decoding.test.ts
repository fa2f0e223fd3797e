import { afterAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { NumberArray } from '../../src/device/index';
import { Random } from '../../src/random';
import { add, cachedAttention, Graph, gather, reshape, rotary, rotaryAngles, scale, select, type Tensor } from '../../src/tensor/index';
import { devices } from '../device';

const random = new Random(11);
const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());

interface Shape {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly capacity: number;
}

/** x [heads · size] turned by a position, in double precision. */
function turned(x: readonly number[], position: number, headSize: number, theta: number): number[] {
  const half = headSize / 2;
  return x.map((value, i) => {
    const [head, place] = [Math.floor(i / headSize) * headSize, i % headSize];
    const angle = position * theta ** ((-2 * (place % half)) / headSize);
    const other = place < half ? -x[head + place + half]! : x[head + place - half]!;
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** What a row's new token attends to, in double precision: softmax(q·Kᵀ/√size)·V over the filled part of its cache. */
function attended({ heads, kvHeads, headSize }: Shape, q: readonly number[], keys: number[][][], values: number[][][]): number[] {
  return Array.from({ length: heads }, (_, head) => {
    const group = Math.floor((head * kvHeads) / heads);
    const query = q.slice(head * headSize, (head + 1) * headSize);
    const scores = keys[group]!.map((key) => key.reduce((sum, value, i) => sum + value * query[i]!, 0) / Math.sqrt(headSize));
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((a, b) => a + b);
    return Array.from({ length: headSize }, (_, i) => weights.reduce((sum, weight, t) => sum + weight * values[group]![t]![i]!, 0) / total);
  }).flat();
}

const theta = 10_000;

describe.each(Object.entries(devices))('on %s', async (_, open) => {
  const device = await open();
  afterAll(() => device.dispose());

  // few heads and many, of sizes that operators for attention and rotation are made for and that they are not
  it.each([
    { batch: 1, heads: 2, kvHeads: 2, headSize: 16, capacity: 64, ahead: 0 },
    { batch: 3, heads: 4, kvHeads: 1, headSize: 32, capacity: 70, ahead: 0 },
    { batch: 3, heads: 4, kvHeads: 1, headSize: 32, capacity: 70, ahead: 100 },
    { batch: 3, heads: 6, kvHeads: 2, headSize: 8, capacity: 40, ahead: 0 },
    { batch: 2, heads: 3, kvHeads: 3, headSize: 12, capacity: 40, ahead: 0 },
    { batch: 40, heads: 8, kvHeads: 2, headSize: 16, capacity: 210, ahead: 0 },
    { batch: 2, heads: 2, kvHeads: 1, headSize: 64, capacity: 130, ahead: 0 },
    { batch: 4, heads: 4, kvHeads: 2, headSize: 16, capacity: 70, ahead: 0, others: 2 },
  ])(
    'a token of each of $batch rows, with $heads heads of $headSize over $kvHeads, $ahead places ahead, $others others in the cache, attends to what its row holds and joins it',
    async (shape) => {
      const { batch, heads, kvHeads, headSize, capacity, ahead, others } = shape;
      const graph = new Graph();
      const rows = others === undefined ? undefined : graph.input('rows', [batch], 'i32');
      const placeOf = (b: number) => (others === undefined ? b : (b + others) % (batch + others));
      const cached = batch + (others ?? 0);
      const part = (name: string, count: number) => graph.input(name, [batch, count * headSize]);
      const [lengths, counts] = [graph.input('lengths', [batch], 'i32'), graph.input('counts', [batch], 'i32')];
      // mostly a token stands after what its row holds, which a device may rely on where it is the same input
      const angles = rotaryAngles(ahead > 0 ? graph.input('positions', [batch], 'i32') : lengths, headSize, theta);
      const q = rotary(part('q', heads), angles, heads);
      const k = rotary(part('k', kvHeads), angles, kvHeads);
      const v = part('v', kvHeads);
      const cacheShape = [cached, kvHeads, capacity, headSize];
      const [keys, values] = [graph.buffer('keys', cacheShape), graph.buffer('values', cacheShape)];
      graph.output('y', cachedAttention(q, k, v, { keys, values, lengths, rows }, { batch, length: 1, heads, kvHeads, headSize }));
      graph.append({ buffer: 'keys', value: k, offsets: lengths, counts, rows });
      graph.append({ buffer: 'values', value: v, offsets: lengths, counts, rows });
      const program = await device.compile(graph);

      // from empty to full but for one place; the last row is not asked for
      const held = Int32Array.from({ length: batch }, (_, row) => [0, capacity - 1, 7, 20][row % 4]!);
      const asked = Int32Array.from({ length: batch }, (_, row) => Number(batch === 1 || row < batch - 1));
      const data = { q: normal(batch * heads * headSize), k: normal(batch * kvHeads * headSize), v: normal(batch * kvHeads * headSize) };
      const before = { keys: normal(cached * kvHeads * capacity * headSize), values: normal(cached * kvHeads * capacity * headSize) };
      const buffers = { keys: device.create(cacheShape, 'f32', before.keys), values: device.create(cacheShape, 'f32', before.values) };
      const inputs = {
        ...data,
        lengths: held,
        counts: asked,
        ...(ahead > 0 && { positions: held.map((length) => length + ahead) }),
        ...(rows && { rows: Int32Array.from(held, (_, b) => placeOf(b)) }),
      };
      const { y } = await device.run(program, { inputs, buffers });
      const after = { keys: await device.read(buffers.keys), values: await device.read(buffers.values) };

      const row = (all: NumberArray, index: number, width: number) => Array.from(all.subarray(index * width, (index + 1) * width));
      const entries = (cache: NumberArray, index: number, count: number) =>
        Array.from({ length: kvHeads }, (_, head) =>
          Array.from({ length: count }, (_, t) => row(cache, (index * kvHeads + head) * capacity + t, headSize)),
        );
      for (let b = 0; b < batch; b++) {
        const position = held[b]!;
        const newKeys = turned(row(data.k, b, kvHeads * headSize), position + ahead, headSize, theta);
        const newValues = row(data.v, b, kvHeads * headSize);
        const withNew = (old: number[][][], fresh: readonly number[]) =>
          old.map((strip, head) => [...strip, fresh.slice(head * headSize, (head + 1) * headSize)]);
        const [oldKeys, oldValues] = [entries(before.keys, placeOf(b), position), entries(before.values, placeOf(b), position)];
        // whether it is asked for or not, what a row held stays
        expect(entries(after.keys, placeOf(b), position)).toEqual(oldKeys);
        expect(entries(after.values, placeOf(b), position)).toEqual(oldValues);
        if (!asked[b]) continue;
        const expected = attended(
          shape,
          turned(row(data.q, b, heads * headSize), position + ahead, headSize, theta),
          withNew(oldKeys, newKeys),
          withNew(oldValues, newValues),
        );
        for (const [i, value] of row(y!, b, heads * headSize).entries()) expect(value).toBeCloseTo(expected[i]!, 4);
        const appended = (cache: NumberArray) => entries(cache, placeOf(b), position + 1).flatMap((strip) => strip.at(-1)!);
        for (const [i, value] of appended(after.keys).entries()) expect(value).toBeCloseTo(newKeys[i]!, 4);
        expect(appended(after.values)).toEqual(newValues);
      }
    },
  );

  it('runs a program several times in a row, each with what the one before left, and the next series before this one is read', async () => {
    const graph = new Graph();
    const [y, counts] = [graph.input('y', [2]), graph.input('counts', [2], 'i32')];
    const total = graph.buffer('total', [2]);
    const held = graph.buffer('held', [2], 'i32');
    graph.output('before', total);
    graph.output('heldBefore', held);
    graph.assign('total', scale(add(total, y), 2));
    // token ids are small integers, which are no numbers to be calculated with as floats
    const table = graph.constant([3, 1], Int32Array.of(7, 1, 2));
    graph.assign('held', select(counts, reshape(gather(table, graph.input('rows', [2], 'i32')), [2]), held));
    const program = await device.compile(graph);
    const buffers = { total: device.create([2], 'f32'), held: device.create([2], 'i32', Int32Array.of(5, 6)) };
    const run = (y: number[], rows: number[], counts: number[]): Record<string, NumberArray> => ({
      y: Float32Array.from(y),
      rows: Int32Array.from(rows),
      counts: Int32Array.from(counts),
    });
    const series = [
      [run([1, 2], [0, 1], [0, 1]), run([0, 1], [1, 1], [0, 0])],
      [run([5, 0], [2, 0], [3, 0]), run([0, 0], [0, 0], [0, 0])],
    ].map((inputs) => device.runSeries(program, { inputs, buffers }));
    const outputs = (await Promise.all(series)).flat();
    expect(outputs.map(({ before }) => Array.from(before!))).toEqual([
      [0, 0],
      [2, 4],
      [4, 10],
      [18, 20],
    ]);
    expect(outputs.map(({ heldBefore }) => Array.from(heldBefore!))).toEqual([
      [5, 6],
      [5, 1],
      [5, 1],
      [2, 1],
    ]);
    expect(Array.from(await device.read(buffers.total))).toEqual([36, 40]);
    expect(Array.from(await device.read(buffers.held))).toEqual([2, 1]);
  });

  it('puts integers into some rows of a buffer, where they are asked for', async () => {
    const graph = new Graph();
    const [counts, found, rows] = ['counts', 'found', 'rows'].map((name) => graph.input(name, [3], 'i32')) as [Tensor, Tensor, Tensor];
    const held = graph.buffer('held', [5], 'i32');
    graph.output('before', held);
    graph.assign('held', select(counts, found, held, rows));
    const buffers = { held: device.create([5], 'i32', Int32Array.of(10, 11, 12, 13, 14)) };
    const inputs = { counts: Int32Array.of(1, 0, 2), found: Int32Array.of(1, 2, 16_777_217), rows: Int32Array.of(4, 0, 1) };
    const { before } = await device.run(await device.compile(graph), { inputs, buffers });
    expect(Array.from(before!)).toEqual([10, 11, 12, 13, 14]);
    expect(Array.from(await device.read(buffers.held))).toEqual([10, 16_777_217, 12, 13, 1]);
  });

  it('reads and writes the first rows of buffers that have more', async () => {
    const graph = new Graph();
    const shape = { batch: 2, length: 1, heads: 2, kvHeads: 1, headSize: 8 };
    const [q, k, v] = [graph.input('q', [2, 16]), graph.input('k', [2, 8]), graph.input('v', [2, 8])];
    const [lengths, counts] = [graph.input('lengths', [2], 'i32'), graph.input('counts', [2], 'i32')];
    const [keys, values] = [graph.buffer('keys', [2, 1, 4, 8]), graph.buffer('values', [2, 1, 4, 8])];
    const tokens = graph.buffer('tokens', [2], 'i32');
    graph.output('y', cachedAttention(q, k, v, { keys, values, lengths }, shape));
    graph.append({ buffer: 'keys', value: k, offsets: lengths, counts });
    graph.append({ buffer: 'values', value: v, offsets: lengths, counts });
    graph.assign('tokens', select(counts, graph.input('sampled', [2], 'i32'), tokens));
    const program = await device.compile(graph);
    const data = { q: normal(32), k: normal(16), v: normal(16) };
    const inputs = { ...data, lengths: Int32Array.of(1, 0), counts: Int32Array.of(1, 1), sampled: Int32Array.of(7, 8) };
    const [oldKeys, oldValues] = [normal(3 * 32), normal(3 * 32)];
    const run = async (rows: number) => {
      const cache = (data: Float32Array) => device.create([rows, 1, 4, 8], 'f32', data.slice(0, rows * 32));
      const buffers = {
        keys: cache(oldKeys),
        values: cache(oldValues),
        tokens: device.create([rows], 'i32', Int32Array.of(1, 2, 3).slice(0, rows)),
      };
      const { y } = await device.run(program, { inputs, buffers });
      const after = await Promise.all([buffers.keys, buffers.values, buffers.tokens].map((buffer) => device.read(buffer)));
      return { y, after: after.map((found) => Array.from(found)) };
    };
    const [two, three] = [await run(2), await run(3)];
    expect(three.y).toEqual(two.y);
    expect(three.after.map((found) => found.slice(0, (found.length / 3) * 2))).toEqual(two.after);
    expect(three.after.map((found) => found.slice((found.length / 3) * 2))).toEqual([
      Array.from(oldKeys.subarray(64)),
      Array.from(oldValues.subarray(64)),
      [3],
    ]);
  });

  it('refuses buffers with fewer rows, or with other ones', async () => {
    const graph = new Graph();
    graph.output('y', scale(graph.buffer('x', [2, 3]), 2));
    const program = await device.compile(graph);
    for (const shape of [
      [1, 3],
      [2, 4],
      [6, 4],
    ])
      await expect(device.run(program, { buffers: { x: device.create(shape, 'f32') } }), `${shape}`).rejects.toMatchObject({
        code: 'device-failed',
        details: { name: 'x' },
      });
  });

  it('exchanges rows of buffers', async () => {
    const [a, b] = [device.create([3, 2], 'f32', Float32Array.of(1, 2, 3, 4, 5, 6)), device.create([3], 'i32', Int32Array.of(1, 2, 3))];
    device.swapRows([a, b], 0, 2);
    expect(Array.from(await device.read(a))).toEqual([5, 6, 3, 4, 1, 2]);
    expect(Array.from(await device.read(b))).toEqual([3, 2, 1]);
  });

  it('refuses a series in which one run lacks an input, naming it, before it begins', async () => {
    const graph = new Graph();
    const total = graph.buffer('total', [2]);
    graph.output('y', total);
    graph.assign('total', add(total, graph.input('x', [2])));
    const program = await device.compile(graph);
    const buffers = { total: device.create([2], 'f32') };
    const broken = device.runSeries(program, { inputs: [{ x: Float32Array.of(1, 1) }, {}], buffers });
    await expect(broken).rejects.toMatchObject({ code: 'device-failed', details: { name: 'x' } });
    expect(Array.from(await device.read(buffers.total))).toEqual([0, 0]);
  });
});

describe('on cpu alone', () => {
  it('refuses to append to a row that is full, naming it', async () => {
    const device = cpuDevice({ threads: 1 });
    const graph = new Graph();
    const shape = { batch: 2, length: 1, heads: 1, kvHeads: 1, headSize: 8 };
    const [q, k, v] = ['q', 'k', 'v'].map((name) => graph.input(name, [2, 8])) as [Tensor, Tensor, Tensor];
    const [lengths, counts] = [graph.input('lengths', [2], 'i32'), graph.input('counts', [2], 'i32')];
    const [keys, values] = [graph.buffer('keys', [2, 1, 4, 8]), graph.buffer('values', [2, 1, 4, 8])];
    graph.output('y', cachedAttention(q, k, v, { keys, values, lengths }, shape));
    graph.append({ buffer: 'keys', value: k, offsets: lengths, counts });
    graph.append({ buffer: 'values', value: v, offsets: lengths, counts });
    const buffers = { keys: device.create([2, 1, 4, 8], 'f32'), values: device.create([2, 1, 4, 8], 'f32') };
    const data = { q: normal(16), k: normal(16), v: normal(16), counts: Int32Array.of(1, 1) };
    const full = device.run(await device.compile(graph), { inputs: { ...data, lengths: Int32Array.of(3, 4) }, buffers });
    await expect(full).rejects.toMatchObject({ code: 'device-failed', message: expect.stringContaining('Row 1 of keys') });
    await device.dispose();
  });
});
