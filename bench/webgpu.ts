/**
 * What the WebGPU device reaches, as a share of what its adapter can do, beside other libraries on the same adapter in the same run:
 *
 *   npx tsx bench/webgpu.ts [--rounds 3] [--sizes 256,512] [--no-tune]
 *
 * Peers are measured where they are installed: npm install --no-save @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-webgpu@4.22.0 @jax-js/jax@0.1.25
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { create } from 'webgpu';
import type { MatmulPrecision } from '../src/device/index';
import type { Kernel } from '../src/device/kernels/index';
import { Pipelines } from '../src/device/webgpu/pipelines';
import { webgpuDevice } from '../src/node/index';
import { add, Graph, gradients, matmul, multiply, scale, subtract, sum, swiglu } from '../src/tensor/index';
import { readArguments } from './arguments';

const { values: flags } = readArguments({
  options: { rounds: { type: 'string', default: '3' }, sizes: { type: 'string', default: '256,512' }, 'no-tune': { type: 'boolean' } },
});
const rounds = Number(flags.rounds);
const sizes = flags.sizes.split(',').map(Number);
const softwareAdapter = '/usr/lib/chromium/vk_swiftshader_icd.json';
if (existsSync(softwareAdapter)) process.env.VK_ICD_FILENAMES ??= softwareAdapter;

const [rows, width, inner] = [512, 128, 256];
const numbers = (count: number, size: number) => Float32Array.from({ length: count }, (_, i) => size * Math.sin(i * 12.9898 + 1));

async function best(task: () => Promise<unknown>): Promise<number> {
  await task();
  let milliseconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i++) {
    const began = performance.now();
    await task();
    milliseconds = Math.min(milliseconds, performance.now() - began);
  }
  return milliseconds;
}

/** Multiply-adds that wait for nothing but each other: what the adapter can do at most. */
async function peak(): Promise<number> {
  const gpu = create(['enable-dawn-features=disable_workgroup_init']);
  const device = await (await gpu.requestAdapter())!.requestDevice();
  const chains = 8;
  const steps = 2048;
  const groups = 64;
  const range = Array.from({ length: chains }, (_, i) => i);
  const kernel: Kernel = {
    name: 'peak',
    threads: 64,
    portable: false,
    buffers: [{ name: 'y', type: 'vec4f', access: 'write' }],
    uniforms: [],
    body: `${range.map((i) => `  var x${i} = vec4f(f32(lane) + ${i}.0f) * 1e-3f;`).join('\n')}
  for (var k = 0u; k < ${steps}u; k++) {
${range.map((i) => `    x${i} = fma(x${i}, vec4f(0.999f), vec4f(1e-4f));`).join('\n')}
  }
  y[group * 64u + lane] = ${range.map((i) => `x${i}`).join(' + ')};`,
  };
  const { pipeline, layout } = await new Pipelines(device).get(kernel, 'the peak');
  const y = device.createBuffer({ size: groups * 64 * 16, usage: 128 });
  const uniforms = device.createBuffer({ size: 16, usage: 64 | 8 });
  device.queue.writeBuffer(uniforms, 0, Uint32Array.of(groups));
  const bindings = [uniforms, y].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = device.createBindGroup({ layout, entries: bindings });
  const milliseconds = await best(async () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  });
  device.destroy();
  return (2 * 4 * chains * steps * groups * 64) / milliseconds / 1e6;
}

/** y = a·bᵀ, of which one row is read back. */
function product(size: number): Graph {
  const graph = new Graph();
  const y = matmul(graph.buffer('a', [size, size]), graph.buffer('b', [size, size]), { transposeB: true });
  graph.buffer('y', [size, size]);
  graph.assign('y', y);
  return graph;
}

/** Loss, gradients and a step of gradient descent of x → silu(x·G)·(x·U)·D, trained to give x back. */
async function step(): Promise<Graph> {
  const graph = new Graph();
  const x = graph.buffer('x', [rows, width]);
  const weights = (['gate', 'up', 'down'] as const).map((name) => graph.buffer(name, name === 'down' ? [inner, width] : [width, inner]));
  const [gate, up, down] = weights as [(typeof weights)[0], (typeof weights)[0], (typeof weights)[0]];
  const error = subtract(matmul(swiglu(matmul(x, gate), matmul(x, up)), down), x);
  const loss = scale(sum(multiply(error, error)), 1 / (rows * width));
  const found = await gradients(loss, weights);
  for (const [i, name] of ['gate', 'up', 'down'].entries()) graph.assign(name, add(weights[i]!, scale(found[i]!, -0.1)));
  graph.output('loss', loss);
  return graph;
}

async function ours(matmulPrecision: MatmulPrecision): Promise<Record<string, number> | string> {
  const tuningFile = join(tmpdir(), 'rlpa-bench-tiles.json');
  const device = await webgpuDevice({ matmulPrecision, tune: !flags['no-tune'], tuningFile }).catch((error: Error) => error);
  if (device instanceof Error) return device.message;
  const report: Record<string, number> = {};
  for (const size of sizes) {
    const program = await device.compile(product(size));
    const buffers = Object.fromEntries(['a', 'b', 'y'].map((name) => [name, device.create([size, size], 'f32', numbers(size * size, 1))]));
    report[`matmul ${size}`] = await best(() => device.run(program, { buffers }));
  }
  const program = await device.compile(await step());
  const weight = (shape: [number, number]) => device.create(shape, 'f32', numbers(width * inner, 0.05));
  const buffers = {
    x: device.create([rows, width], 'f32', numbers(rows * width, 1)),
    gate: weight([width, inner]),
    up: weight([width, inner]),
    down: weight([inner, width]),
  };
  report.step = await best(async () => {
    report.loss = (await device.run(program, { buffers })).loss![0]!;
  });
  if (device.tileChoices.length > 0) {
    const table = new Table({ head: ['products', 'tile', 'ms by tile'] });
    for (const { products, tile, milliseconds } of device.tileChoices) {
      const times = Object.entries(milliseconds).map(([name, ms]) => `${name}: ${ms.toFixed(1)}`);
      table.push([products, tile, times.join(', ')]);
    }
    console.log(`Tiles on ${device.adapter.name}\n${table}`);
  }
  await device.dispose();
  return report;
}

function peer(name: string): Record<string, number> | string {
  try {
    const output = execFileSync(process.execPath, [join(import.meta.dirname, 'webgpu-peer.mjs'), name, String(rounds), flags.sizes], {
      encoding: 'utf8',
    });
    return JSON.parse(output.trim().split('\n').at(-1)!);
  } catch (error) {
    return (error as { stderr?: string }).stderr?.split('\n').find((line) => line.includes('Error')) ?? (error as Error).message;
  }
}

const most = await peak();
const operations: Record<string, number> = {
  ...Object.fromEntries(sizes.map((size) => [`matmul ${size}`, 2 * size ** 3])),
  step: 2 * 8 * rows * width * inner,
};
const reports: Record<string, Record<string, number> | string> = {
  rlpa: await ours('f32'),
  'rlpa f16': await ours('f16'),
  'jax-js': peer('jax'),
  'tfjs-webgpu': peer('tfjs'),
};
// once more the other way round: what the machine does meanwhile falls on all
for (const [name, again] of [
  ['tfjs-webgpu', peer('tfjs')],
  ['jax-js', peer('jax')],
  ['rlpa f16', await ours('f16')],
  ['rlpa', await ours('f32')],
] as const) {
  const first = reports[name];
  if (typeof again === 'string' || typeof first === 'string' || first === undefined) continue;
  for (const key of Object.keys(operations)) first[key] = Math.min(first[key]!, again[key]!);
}
const table = new Table({ head: ['', ...Object.keys(operations), 'loss'] });
for (const [name, report] of Object.entries(reports)) {
  if (typeof report === 'string') table.push([name, { content: report, colSpan: sizes.length + 2 }]);
  else {
    const cells = Object.entries(operations).map(([key, count]) => {
      const rate = count / report[key]! / 1e6;
      return `${report[key]!.toFixed(1)} ms, ${rate.toFixed(2)} GFLOP/s, ${((100 * rate) / most).toFixed(0)} %`;
    });
    table.push([name, ...cells, report.loss!.toFixed(5)]);
  }
}
console.log(`The adapter's peak: ${most.toFixed(2)} GFLOP/s. Load of the machine: ${loadavg()[0]!.toFixed(1)}\n${table}`);
process.exit();
