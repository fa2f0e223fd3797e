/**
 * What a GPU gives through WebGPU, beside PyTorch on the same card in the same run: matrix products, training steps and sampling, in single and
 * in half precision. One command for everything; each row is printed as soon as it is there, and those that are left when the time is over are named.
 *
 *     npx tsx bench/gpu.ts [--seconds 540] [--rounds 3] [--only matmul,tiny,0.5B] [--smoke] [--no-peer] [--json FILE]
 *
 * `PYTHON` names the interpreter that has PyTorch with CUDA, and transformers for its `generate`. `--smoke` takes sizes that a software adapter
 * can do too. On a machine without npm: bundle it (`npx esbuild bench/gpu.ts --bundle --platform=node --format=esm --external:webgpu --outfile=gpu.mjs`)
 * and bring Node, the bundle, bench/peer.py and node_modules/webgpu along.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MatmulPrecision } from '../src/device/index';
import type { GpuDevice } from '../src/device/webgpu/index';
import { webgpuDevice } from '../src/node/webgpu';
import { LocalPolicy } from '../src/policy/index';
import { Random } from '../src/random';
import { sizeOf } from '../src/tensor/index';
import { loraConfig, loraShapes, parameterShapes, Tokenizer, trainTokenizer, valueHeadShapes } from '../src/transformer/index';
import { readArguments } from './arguments';
import { openPeer, type PeerRequest, type Precision } from './peer';
import { type BenchSize, configOf, floatingPointOperations, gpuSizes, smokeSizes } from './sizes';
import { best, gemmOf, gemmRepeats, measure, measureSampling, measureUpdate } from './works';

const text = (value: string) => ({ type: 'string', default: value }) as const;
const { values: flags } = readArguments({
  allowNegative: true,
  options: {
    seconds: text('540'),
    rounds: text('3'),
    only: text(''),
    smoke: { type: 'boolean', default: false },
    peer: { type: 'boolean', default: true },
    json: { type: 'string' },
  },
});
const rounds = Number(flags.rounds);
const endsAt = performance.now() + 1000 * Number(flags.seconds);
const only = flags.only === '' ? undefined : flags.only.split(',');
const precisions: readonly Precision[] = ['f32', 'f16'];
/** PyTorch's own half precision. */
const peerPrecision = { f32: 'f32', f16: 'bf16' } as const;

interface Row {
  readonly work: string;
  readonly precision: Precision;
  readonly seconds?: number;
  readonly tokensPerSecond?: number;
  readonly teraflops?: number;
  readonly peerSeconds?: number;
  readonly timesPeer?: number;
  /** Why there is no number. */
  readonly problem?: string;
}
const rows: Row[] = [];
const left: string[] = [];

function report(row: Row): void {
  rows.push(row);
  const cells = [
    row.work,
    row.precision,
    row.seconds?.toFixed(4) ?? row.problem,
    row.tokensPerSecond?.toFixed(0),
    row.teraflops?.toFixed(2),
    row.peerSeconds?.toFixed(4),
    row.timesPeer?.toFixed(2),
  ];
  console.log(`| ${cells.map((cell) => cell ?? '').join(' | ')} |`);
  if (flags.json) writeFileSync(flags.json, JSON.stringify({ adapter, peer: peers.f32, rounds, rows, left }));
}

async function bestOf(work: () => Promise<unknown>): Promise<number> {
  // compiles, is tuned and warms up
  await work();
  const found = [];
  for (let round = 0; round < rounds; round++) found.push(await measure(work));
  return best(found).seconds;
}

async function bestOfPeer(precision: Precision, requests: readonly PeerRequest[]): Promise<number | undefined> {
  const peer = peers[peerPrecision[precision]];
  if (typeof peer !== 'object') return undefined;
  try {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round <= rounds; round++) {
      for (const request of requests) {
        const { seconds } = await peer.measure(request);
        if (round > 0 && request === requests.at(-1)) least = Math.min(least, seconds);
      }
    }
    return least;
  } catch (error) {
    console.error(`PyTorch, ${requests.at(-1)!.work}: ${(error as Error).message}`);
    return undefined;
  }
}

interface Work {
  readonly group: string;
  readonly work: string;
  readonly operations: number;
  run(device: GpuDevice): Promise<{ readonly seconds: number; readonly tokens?: number }>;
  readonly peer: readonly PeerRequest[];
}

const random = new Random(1);
const { tokenizer, tokenizerConfig } = trainTokenizer({ texts: ['hello world'], vocabularySize: 300 });
/** Random numbers over and over: to draw each weight of a large model by itself would take longer than all that is measured. */
const table = Float32Array.from({ length: 1 << 20 }, () => 0.02 * random.normal());
function weightsOf(size: BenchSize) {
  const config = configOf(size);
  const adapter = size.lora === undefined ? [] : loraShapes(config, loraConfig({ rank: size.lora }));
  return new Map(
    [...parameterShapes(config), ...adapter, ...valueHeadShapes(config.hiddenSize)].map(([name, shape]) => {
      const data = new Float32Array(sizeOf(shape));
      if (name.includes('norm')) data.fill(1);
      else for (let at = 0; at < data.length; at += table.length) data.set(table.subarray(0, Math.min(table.length, data.length - at)), at);
      return [name, { shape, data }] as const;
    }),
  );
}

async function withPolicy<T>(device: GpuDevice, size: BenchSize, measured: (policy: LocalPolicy) => Promise<T>): Promise<T> {
  const model = { config: configOf(size), tokenizer: Tokenizer.fromJSON(tokenizer, tokenizerConfig), weights: weightsOf(size) };
  const lora = size.lora === undefined ? undefined : { rank: size.lora };
  const policy = new LocalPolicy(device, model, {
    lora,
    maxNewTokens: size.sampled,
    microBatchTokens: size.rows * size.length,
    layout: 'right',
  });
  try {
    return await measured(policy);
  } finally {
    await policy.dispose();
  }
}

function worksOf(size: BenchSize & { readonly works: readonly ('update' | 'sampling')[] }): Work[] {
  const { update, sampling, prefill } = floatingPointOperations(size);
  const kind = size.lora === undefined ? 'all weights' : `LoRA r=${size.lora}`;
  return size.works.map(
    (work): Work =>
      work === 'update'
        ? {
            group: size.name,
            work: `${size.name}: step, ${kind}, ${size.rows}×${size.length}`,
            operations: update,
            run: (device) =>
              withPolicy(device, size, async (policy) => ({
                seconds: await bestOf(() => measureUpdate(policy, size)),
                tokens: size.rows * size.length,
              })),
            peer: [{ work: 'update', size, pieces: 1 }],
          }
        : {
            group: size.name,
            work: `${size.name}: sampling, ${size.rows} at once`,
            operations: prefill + sampling,
            run: (device) =>
              withPolicy(device, size, async (policy) => {
                const found = [];
                for (let round = 0; round <= rounds; round++) {
                  const { prefill, decode } = await measureSampling(policy, size);
                  const [seconds, cpu] = [prefill.seconds + decode.seconds, prefill.cpu + decode.cpu];
                  found.push({ seconds, cpu, tokens: size.rows + decode.tokens });
                }
                return best(found.slice(1));
              }),
            // transformers' own `generate`, as people call it: prompts included, as on our side
            peer: [{ work: 'generate', size }],
          },
  );
}

const products = (flags.smoke ? [64, 128] : [512, 1024, 2048, 4096]).map(
  (n): Work => ({
    group: 'matmul',
    work: `matrix product ${n}`,
    operations: 2 * gemmRepeats * n ** 3,
    run: async (device) => {
      try {
        return { seconds: await bestOf(await gemmOf(device, n)) };
      } finally {
        await device.dispose();
      }
    },
    peer: [{ work: 'gemm', n, repeats: gemmRepeats }],
  }),
);
const works = [...products, ...(flags.smoke ? smokeSizes : gpuSizes).flatMap(worksOf)].filter(({ group }) => only?.includes(group) ?? true);

const open = (matmulPrecision: MatmulPrecision) =>
  webgpuDevice({ matmulPrecision, tune: true, tuningFile: join(tmpdir(), 'rlpa-bench-gpu-tiles.json') });
let adapter = 'none';
const devices: Partial<Record<Precision, string>> = {};
for (const precision of precisions) {
  const device = await open(precision).catch((error: Error) => error);
  if (device instanceof Error) {
    devices[precision] = device.message;
    continue;
  }
  adapter = device.adapter.name;
  console.log(`${device.adapter.name}, ${precision}: ${JSON.stringify(device.arithmetic)}`);
  await device.dispose();
}
const peers: Record<'f32' | 'bf16', Awaited<ReturnType<typeof openPeer>>> = {
  f32: flags.peer ? await openPeer(4, 'f32') : 'left out',
  bf16: flags.peer ? await openPeer(4, 'bf16') : 'left out',
};
for (const [precision, peer] of Object.entries(peers)) console.log(`${precision}: ${typeof peer === 'string' ? peer : peer.version}`);

console.log('\n| work | | seconds | tokens/s | TFLOP/s | PyTorch s | times PyTorch |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |');
for (const { work, operations, run, peer } of works) {
  for (const precision of precisions) {
    if (performance.now() > endsAt) {
      left.push(`${work}, ${precision}`);
      continue;
    }
    const peerSeconds = await bestOfPeer(precision, peer);
    const theirs = peerSeconds !== undefined && { peerSeconds };
    try {
      if (devices[precision] !== undefined) throw new Error(devices[precision]);
      const device = await open(precision);
      const { seconds, tokens } = await run(device);
      report({
        work,
        precision,
        seconds,
        ...(tokens !== undefined && { tokensPerSecond: tokens / seconds }),
        teraflops: operations / seconds / 1e12,
        ...theirs,
        ...(peerSeconds !== undefined && { timesPeer: peerSeconds / seconds }),
      });
    } catch (error) {
      report({ work, precision, problem: (error as Error).message.slice(0, 200), ...theirs });
    }
  }
}
if (left.length > 0) console.log(`\nNot measured, for lack of time: ${left.join('; ')}`);
try {
  console.log(`\nMethods chosen: ${readFileSync(join(tmpdir(), 'rlpa-bench-gpu-tiles.json'), 'utf8')}`);
} catch {
  console.log('\nNothing was tuned: the adapter does not tell the time.');
}
for (const peer of Object.values(peers)) if (typeof peer === 'object') peer.close();
process.exit();
