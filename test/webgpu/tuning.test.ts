import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { methodsOf, nameOf, single } from '../../src/device/webgpu/tiles';
import { webgpuDevice } from '../../src/node/index';
import { Random } from '../../src/random';
import { add, Graph, matmul } from '../../src/tensor/index';
import { openWebGpu } from '../device';
import { temporaryFolder } from '../node/temporary-folder';

await openWebGpu().then((device) => device.dispose());

/** A step that adds x·wᵀ to a buffer. */
function step(): Graph {
  const graph = new Graph();
  const sums = graph.buffer('sums', [70, 40]);
  const product = matmul(graph.input('x', [70, 20]), graph.buffer('w', [40, 20]), { transposeB: true });
  graph.assign('sums', add(sums, product));
  graph.output('product', matmul(product, graph.input('v', [40, 8])));
  return graph;
}

const random = new Random(3);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const inputs = { x: numbers(1400), v: numbers(320) };
const w = numbers(800);

describe('tuning', () => {
  const file = join(temporaryFolder(), 'tiles.json');

  async function run(options: Parameters<typeof webgpuDevice>[0]) {
    const device = await webgpuDevice({ tuningFile: file, ...options });
    const buffers = { sums: device.create([70, 40], 'f32'), w: device.create([40, 20], 'f32', w) };
    const program = await device.compile(step());
    const results: Float32Array[] = [];
    for (let i = 0; i < 2; i++) results.push((await device.run(program, { inputs, buffers })).product as Float32Array);
    const sums = (await device.read(buffers.sums)) as Float32Array;
    const { tileChoices, adapter, counters } = device;
    await device.dispose();
    return { results, sums, tileChoices, adapter, counters };
  }

  it('chooses by measuring, changes no result and leaves no mark on buffers', async () => {
    const plain = await run({});
    const tuned = await run({ tune: true });
    for (const [i, result] of tuned.results.entries()) {
      expect(Math.max(...result.map((value, k) => Math.abs(value - plain.results[i]![k]!)))).toBeLessThan(1e-4);
    }
    // two runs added twice; those that were only measured did not
    expect(Math.max(...tuned.sums.map((value, k) => Math.abs(value - plain.sums[k]!)))).toBeLessThan(1e-4);
    expect(tuned.tileChoices.map(({ products }) => products)).toEqual(['128x64x32 a·bᵀ', '128x8x64 a·b']);
    for (const { tile, milliseconds } of tuned.tileChoices) {
      expect(Object.keys(milliseconds).length).toBeGreaterThan(2);
      expect(Math.min(...Object.values(milliseconds))).toBe(milliseconds[tile]);
      expect(methodsOf(single).map(nameOf)).toContain(tile);
    }
    expect(plain.tileChoices).toEqual([]);
  });

  it('is remembered for the adapter, and not measured again', async () => {
    const kept = JSON.parse(readFileSync(file, 'utf8'));
    const again = await run({ tune: true });
    expect(Object.keys(kept)).toEqual([again.adapter.name]);
    expect(Object.keys(kept[again.adapter.name])).toEqual(['128x64x32 a·bᵀ', '128x8x64 a·b']);
    expect(again.tileChoices).toEqual([]);
  });

  it('delays what is asked for meanwhile, and keeps its order', async () => {
    const device = await webgpuDevice({ tune: true, tuningFile: join(temporaryFolder(), 'tiles.json') });
    const buffers = { sums: device.create([70, 40], 'f32'), w: device.create([40, 20], 'f32', w) };
    const doubled = w.map((value) => 2 * value);
    const first = device.run(await device.compile(step()), { inputs, buffers });
    device.swapRows([buffers.w], 0, 39);
    const swapped = device.read(buffers.w);
    device.write(buffers.w, doubled);
    doubled.fill(0); // it was as it was given
    const another = device.create([40, 20], 'f32');
    device.copy(buffers.w, another);
    device.clear([buffers.w]);
    const second = device.run(await device.compile(step()), { inputs, buffers: { ...buffers, w: another } });
    device.release([another]);
    const [one, two] = [(await first).product!, (await second).product!];
    expect(Math.max(...one.map((value, i) => Math.abs(2 * value - two[i]!)))).toBeLessThan(1e-3);
    expect(Math.max(...one.map(Math.abs))).toBeGreaterThan(1);
    const row = (data: ArrayLike<number>, index: number) => Array.from(data).slice(20 * index, 20 * (index + 1));
    expect([row(await swapped, 0), row(await swapped, 39)]).toEqual([row(w, 39), row(w, 0)]);
    expect(Math.max(...(await device.read(buffers.w)).map(Math.abs))).toBe(0);
    await device.dispose();
  });

  it('survives a file that is no list of choices', async () => {
    for (const content of ['', '[]', '{"SwiftShader driver 5.0.0":{"128x64x32 a·bᵀ":"7x7 by 1x1"}}']) {
      writeFileSync(file, content);
      const { results } = await run({});
      expect(results[0]!.every(Number.isFinite)).toBe(true);
    }
  });
});
