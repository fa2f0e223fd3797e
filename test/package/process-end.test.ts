import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device } from '../../src/device/index';
import { Graph, matmul, sum } from '../../src/tensor/index';

const root = join(import.meta.dirname, '../..');

/** Runs a program that has a device of four threads, never disposed of, and ends as it is told. */
async function ended(end: string): Promise<{ readonly code: number | null; readonly errors: string }> {
  const program = `
    import { cpuDevice } from '${root}/src/node/index.ts';
    import { Graph, matmul, sum } from '${root}/src/tensor/index.ts';
    const device = cpuDevice({ threads: 4 });
    const graph = new Graph();
    const x = graph.input('x', [600, 600]);
    let product = x;
    for (let i = 0; i < 20; i++) product = matmul(product, x);
    graph.output('y', sum(product));
    const program = await device.compile(graph);
    const run = () => device.run(program, { inputs: { x: new Float32Array(360_000).fill(1 / 600) } });
    await run();
    ${end}`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], { cwd: root });
  let errors = '';
  child.stderr.on('data', (data) => {
    errors += data;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, errors };
}

describe('a program that leaves its CPU device behind', () => {
  it.each([
    { how: 'by itself', end: '', code: 0 },
    { how: 'by an exit', end: 'process.exit(3);', code: 3 },
    { how: 'by an exit while the device computes', end: 'void run(); setTimeout(() => process.exit(4), 10);', code: 4 },
  ])('ends $how, without a word', async ({ end, code }) => {
    expect(await ended(end)).toEqual({ code, errors: '' });
  });

  it('ends by itself where the device was never asked for anything', async () => {
    const program = `import { cpuDevice } from '${root}/src/node/index.ts'; cpuDevice();`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], { cwd: root, timeout: 20_000 });
    expect(await once(child, 'close')).toEqual([0, null]);
  });

  it('ends by an error, which is all that it says', async () => {
    const { code, errors } = await ended("throw new Error('on purpose');");
    expect(code).toBe(1);
    expect(errors).toContain('Error: on purpose');
    expect(errors).not.toMatch(/onnxruntime|Segmentation|terminate/);
  });
});

describe('a program that leaves a stream of the AI SDK middleware unread', () => {
  it.each([0, 1, 2])('ends by itself, however many parts were read: %i', async (parts) => {
    const program = `
      import { personalized } from '${root}/src/adapters/index.ts';
      import { memoryStore } from '${root}/src/agent/index.ts';
      import { ProfileSchema } from '${root}/src/profile/index.ts';
      const { wrapStream } = personalized({ schema: ProfileSchema.standard, store: memoryStore(), userId: 'u1' });
      const start = { type: 'stream-start', warnings: [] };
      const stream = new ReadableStream({ pull: (controller) => controller.enqueue(start) });
      const prompt = [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }];
      const answer = await wrapStream({ model: { doStream: async () => ({ stream }) }, params: { prompt } });
      const reader = answer.stream.getReader();
      for (let i = 0; i < ${parts}; i++) await reader.read();`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], { cwd: root, timeout: 30_000 });
    expect(await once(child, 'close')).toEqual([0, null]);
  });
});

describe('two CPU devices in one process', () => {
  async function compute(device: Device, size: number): Promise<number> {
    const graph = new Graph();
    const x = graph.input('x', [size, size]);
    graph.output('y', sum(matmul(x, x)));
    const { y } = await device.run(await device.compile(graph), { inputs: { x: new Float32Array(size * size).fill(1 / size) } });
    return y![0]!;
  }

  it('compute beside one another, and one goes on when the other is disposed of', async () => {
    const [first, second] = [cpuDevice({ threads: 1 }), cpuDevice({ threads: 1 })];
    const both = await Promise.all([compute(first, 50), compute(second, 60)]);
    expect(both[0]).toBeCloseTo(50, 2);
    expect(both[1]).toBeCloseTo(60, 2);
    await first.dispose();
    expect(await compute(second, 70)).toBeCloseTo(70, 2);
    await second.dispose();
    const third = cpuDevice({ threads: 1 });
    expect(await compute(third, 80)).toBeCloseTo(80, 2);
    await third.dispose();
  });
});
