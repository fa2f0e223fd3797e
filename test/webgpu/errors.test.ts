import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { create } from 'webgpu';
import type { Kernel } from '../../src/device/kernels/index';
import { openWebGpu as openGpu } from '../../src/device/webgpu/index';
import { Pipelines } from '../../src/device/webgpu/pipelines';
import { WebGpuDevice } from '../../src/device/webgpu/webgpu-device';
import { RlpaError } from '../../src/errors';
import { Random } from '../../src/random';
import { attention, Graph, gradients, matmul, multiply, sum } from '../../src/tensor/index';
import { openWebGpu } from '../device';
import { temporaryFolder } from '../node/temporary-folder';

// the adapter that the suites run on
await openWebGpu().then((device) => device.dispose());
const gpu = create([]);

/** A GPU with the limits that every WebGPU has and no more. */
async function smallGpu(): Promise<GPUDevice> {
  return (await gpu.requestAdapter())!.requestDevice();
}

async function errorOf(task: () => unknown): Promise<RlpaError> {
  try {
    await task();
  } catch (error) {
    expect(RlpaError.isInstance(error), String(error)).toBe(true);
    return error as RlpaError;
  }
  throw new Error('Nothing was thrown.');
}

/** What opening a GPU in a process of its own ends with. */
async function openElsewhere(environment: Record<string, string>, flags: string[] = []): Promise<{ code?: string; message?: string }> {
  const program = `
    import { webgpuDevice } from '${join(import.meta.dirname, '../../src/node/index.ts')}';
    try { await webgpuDevice(); console.log('{}'); } catch ({ code, message }) { console.log(JSON.stringify({ code, message })); }
    process.exit();`;
  const args = ['--import', 'tsx', ...flags, '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...environment } });
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

describe('a GPU that is not there', () => {
  const folder = temporaryFolder();

  it('is a missing dependency where the package webgpu is not installed, with the command that installs it', async () => {
    const hooks = join(folder, 'hooks.mjs');
    writeFileSync(
      hooks,
      `import { register } from 'node:module';
       register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(name, context, next) {
         if (name !== 'webgpu') return next(name, context);
         throw Object.assign(new Error("Cannot find package 'webgpu'"), { code: 'ERR_MODULE_NOT_FOUND' });
       }\`));`,
    );
    const { code, message } = await openElsewhere({}, ['--import', hooks]);
    expect(code).toBe('missing-dependency');
    expect(message).toContain('npm install webgpu');
  });

  it('is a missing dependency where no driver offers an adapter, with what to install', async () => {
    const { code, message } = await openElsewhere({ VK_ICD_FILENAMES: join(folder, 'no-driver.json') });
    expect(code).toBe('missing-dependency');
    expect(message).toMatch(/no GPU.*driver.*CPU/s);
  });
});

describe('a GPU that can do less than is asked for', () => {
  it('refuses half precision where the adapter has none, naming it, with what to do', async () => {
    // the software adapter of the tests has none; of another, what it says is replaced
    const without = {
      requestAdapter: async () =>
        new Proxy((await gpu.requestAdapter())!, {
          get: (target, name) => (name === 'features' ? new Set() : Reflect.get(target, name, target)),
        }),
    };
    const error = await errorOf(() => openGpu({ gpu: without, matmulPrecision: 'f16' }));
    expect(error.code).toBe('device-failed');
    expect(error.message).toMatch(/This GPU \(.+\) has no half precision.*'webgpu'.*'f32'/);
  });

  it('refuses a buffer over its limit, with both sizes', async () => {
    const device = new WebGpuDevice(await smallGpu());
    const error = await errorOf(() => device.create([40_000, 1000], 'f32'));
    expect(error.code).toBe('device-failed');
    expect(error.message).toContain('160000000');
    expect(error.message).toContain(String(128 << 20));
    await device.dispose();
  });

  it('refuses a tensor over its limit before anything is computed, naming operation, layer and shape', async () => {
    const device = new WebGpuDevice(await smallGpu());
    const graph = new Graph();
    const [a, b] = [graph.input('a', [8000, 8]), graph.input('b', [8000, 8])];
    graph.output(
      'y',
      graph.within('layers.7.mlp', () => matmul(a, b, { transposeB: true })),
    );
    const error = await errorOf(() => device.compile(graph));
    expect(error.message).toContain('matmul (at layers.7.mlp)');
    expect(error.message).toContain('[8000,8000]');
    expect(error.details).toMatchObject({ bytes: 256_000_000, limit: 128 << 20 });
    await device.dispose();
  });

  it('takes smaller tiles where workgroup memory is small, and gets the same attention and gradients', async () => {
    const shape = { batch: 1, length: 40, heads: 2, kvHeads: 1, headSize: 128 };
    const random = new Random(5);
    const numbers = (count: number) => Float32Array.from({ length: count }, () => random.normal());
    const inputs = { q: numbers(40 * 256), k: numbers(40 * 128), v: numbers(40 * 128) };
    const results = await Promise.all(
      [new WebGpuDevice(await smallGpu()), await openWebGpu()].map(async (device) => {
        const graph = new Graph();
        const parts = (['q', 'k', 'v'] as const).map((name) => graph.input(name, [40, name === 'q' ? 256 : 128]));
        const y = attention(parts[0]!, parts[1]!, parts[2]!, shape);
        graph.output('y', y);
        for (const [i, gradient] of (await gradients(sum(multiply(y, y)), parts)).entries()) graph.output(`g${i}`, gradient!);
        const found = await device.run(await device.compile(graph), { inputs });
        await device.dispose();
        return found;
      }),
    );
    for (const name of ['y', 'g0', 'g1', 'g2']) {
      const differences = results[0]![name]!.map((value, i) => Math.abs(value - results[1]![name]![i]!));
      expect(Math.max(...differences), name).toBeLessThan(1e-4);
    }
    expect(Math.max(...results[0]!.g0!)).toBeGreaterThan(0.1);
  });

  it('refuses a kernel that needs more workgroup memory than there is, naming kernel and operation', async () => {
    const device = new WebGpuDevice(await smallGpu());
    const graph = new Graph();
    const part = (name: string) => graph.input(name, [64, 2048]);
    const shape = { batch: 1, length: 64, heads: 1, kvHeads: 1, headSize: 2048 };
    graph.output(
      'y',
      graph.within('layers.2.attention', () => attention(part('q'), part('k'), part('v'), shape)),
    );
    const error = await errorOf(() => device.compile(graph));
    expect(error.message).toMatch(/attention \(at layers.2.attention\).*bytes of workgroup memory; this GPU allows 16384/);
    await device.dispose();
  });

  it('says that memory is out, what for, and what to do, at the next fence', async () => {
    const real = await smallGpu();
    // the adapter of the tests has as much memory as the machine: the GPU's own answer to a demand is replaced
    const full = new Proxy(real, {
      get: (target, name) => {
        if (name === 'popErrorScope') return () => target.popErrorScope().then(() => ({ message: 'Out of memory' }));
        const member = Reflect.get(target, name, target);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    const device = new WebGpuDevice(full);
    const buffer = device.create([1000], 'f32');
    const error = await errorOf(() => device.read(buffer));
    expect(error.code).toBe('device-failed');
    expect(error.message).toMatch(/no 4000 bytes left for a buffer of shape \[1000\].*smaller micro-batches/s);
    expect(error.details).toMatchObject({ outOfMemory: true });
    await device.dispose();
  });
});

describe('a kernel that does not compile', () => {
  it('is an error with what the compiler says, the kernel, and where it is used', async () => {
    const device = await smallGpu();
    const kernel: Kernel = {
      name: 'broken kernel',
      threads: 64,
      portable: true,
      buffers: [{ name: 'y', type: 'f32', access: 'write' }],
      uniforms: [],
      body: '  y[lane] = nothing_of_this_name;',
    };
    const error = await errorOf(() => new Pipelines(device).get(kernel, 'matmul (at layers.3.mlp)'));
    expect(error.code).toBe('device-failed');
    expect(error.message).toContain('broken kernel');
    expect(error.message).toContain('matmul (at layers.3.mlp)');
    expect(error.message).toContain('nothing_of_this_name');
    device.destroy();
  });
});

describe('a GPU that is lost', () => {
  it('fails what is under way and everything after it, and says how to go on', async () => {
    const gpuDevice = await smallGpu();
    const device = new WebGpuDevice(gpuDevice);
    const graph = new Graph();
    const x = graph.input('x', [64, 64]);
    graph.output('y', matmul(x, x));
    const program = await device.compile(graph);
    const run = () => device.run(program, { inputs: { x: new Float32Array(4096).fill(1) } });
    expect((await run()).y![0]).toBe(64);
    const underWay = errorOf(run);
    gpuDevice.destroy();
    expect((await underWay).code).toBe('device-failed');
    for (const task of [run, () => device.create([2], 'f32'), () => device.compile(graph)]) {
      const error = await errorOf(task);
      expect(error.code).toBe('device-failed');
      expect(error.message).toContain('checkpoint');
    }
  });
});

describe('a program', () => {
  it('refuses inputs and buffers of another size by name, as on the CPU', async () => {
    const device = new WebGpuDevice(await smallGpu());
    const graph = new Graph();
    graph.output('y', matmul(graph.input('x', [2, 2]), graph.buffer('w', [2, 2])));
    const program = await device.compile(graph);
    const w = device.create([2, 2], 'f32');
    expect((await errorOf(() => device.run(program, { inputs: {}, buffers: { w } }))).message).toMatch(/Input x .* found none/);
    expect((await errorOf(() => device.run(program, { inputs: { x: new Float32Array(4) } }))).message).toMatch(/Buffer w/);
    device.discard(program);
    expect((await errorOf(() => device.run(program, { inputs: { x: new Float32Array(4) }, buffers: { w } }))).message).toMatch(/discarded/);
    await device.dispose();
  });
});
