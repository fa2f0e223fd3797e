/**
 * The engine at Qwen2.5-0.5B's size: LoRA training steps and sampling, as a share of what the machine can do in the same run and beside
 * PyTorch where it is installed; peak memory; and for how long the caller's event loop stood still. The tiny sizes are in bench/tiny.ts.
 *
 *     npx tsx bench/make-model.ts /tmp/half-billion TOKENIZER_FOLDER
 *     npx tsx bench/engine.ts /tmp/half-billion [--rounds 3] [--no-peer] [--checkpointing] [--json]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { cpuDevice } from '../src/device/cpu/index';
import { LocalPolicy } from '../src/policy/index';
import buildPackage from '../test/build';
import { readArguments } from './arguments';
import { type Measurement, openPeer } from './peer';
import { floatingPointOperations, largeSizes } from './sizes';
import { best, gemmOf, gemmRepeats, measure, measureSampling, measureUpdate, memoryReads, readBytes } from './works';

const { values: options, positionals } = readArguments({
  allowPositionals: true,
  allowNegative: true,
  options: {
    rounds: { type: 'string', default: '3' },
    peer: { type: 'boolean', default: true },
    checkpointing: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('Expected the folder of a model: bench/make-model.ts writes one.');
const rounds = Number(options.rounds);
const threads = availableParallelism();
const say = (text: string) => process.stderr.write(`${text}\n`);

/** Of the whole process, in GB, since {@link forgetPeak}. */
const peakGigabytes = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1e6;
const forgetPeak = () => writeFileSync('/proc/self/clear_refs', '5');

interface Round extends Measurement {
  readonly tokens: number;
  /** Longest time for which the event loop stood still, in milliseconds. */
  readonly blocked: number;
  readonly peak: number;
  readonly peer?: Measurement;
}

await buildPackage();
const opened = options.peer ? await openPeer(threads) : 'left out';
const peer = typeof opened === 'string' ? undefined : opened;
say(`${cpus()[0]?.model}, ${threads} threads, load ${loadavg()[0]!.toFixed(2)}; ${peer?.version ?? `no PyTorch: ${opened}`}`);

const machine = cpuDevice({ threads });
const gemm = await gemmOf(machine, 1024);
const reads = await memoryReads(machine);
let [gemmSeconds, readSeconds] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
async function measureMachine(): Promise<void> {
  gemmSeconds = Math.min(gemmSeconds, (await measure(gemm)).seconds);
  for (const read of reads) readSeconds = Math.min(readSeconds, (await measure(read)).seconds);
}
await measureMachine();

const policy = await LocalPolicy.load(folder, {
  lora: { rank: largeSizes[0]!.lora! },
  device: cpuDevice({ threads }),
  microBatchTokens: 2048,
  layout: 'right',
  gradientCheckpointing: options.checkpointing,
});
say('loaded');
const found: Round[][] = largeSizes.map(() => []);
// the first round compiles and warms up
for (let round = 0; round <= rounds; round++) {
  for (const [i, size] of largeSizes.entries()) {
    await measureMachine();
    const delay = monitorEventLoopDelay({ resolution: 1 });
    forgetPeak();
    delay.enable();
    const { tokens, ...ours } =
      size.work === 'update'
        ? { ...(await measureUpdate(policy, size)), tokens: size.rows * size.length }
        : (await measureSampling(policy, size)).decode;
    delay.disable();
    let theirs: Measurement | undefined;
    if (peer && size.work === 'sampling') await peer.measure({ work: 'prefill', size });
    if (peer) theirs = await peer.measure(size.work === 'update' ? { work: 'update', size, pieces: 1 } : { work: 'decode', size });
    if (round > 0) found[i]!.push({ ...ours, tokens, blocked: delay.max / 1e6, peak: peakGigabytes(), peer: theirs });
  }
  say(round === 0 ? 'warm' : `round ${round} of ${rounds}`);
}
const weightBytes = 4 * policy.parameterCount;
await Promise.all([machine, policy].map((each) => each.dispose()));
peer?.close();

const gemmRate = (2 * gemmRepeats * 1024 ** 3) / gemmSeconds;
const bandwidth = readBytes / readSeconds;
const rows = largeSizes.map((size, i) => {
  const ours = best(found[i]!);
  const { update, sampling } = floatingPointOperations(size);
  // a token of every row needs all weights once
  const limit = size.work === 'update' ? update / gemmRate : sampling / gemmRate + ((size.sampled - 1) * weightBytes) / bandwidth;
  const theirs = peer && best(found[i]!.map((each) => each.peer!)).seconds;
  const what = size.work === 'update' ? `LoRA r=${size.lora} step, ${size.rows}×${size.length}` : `sampling, ${size.rows} at once`;
  return {
    work: `${size.name}: ${what}`,
    seconds: ours.seconds,
    cores: ours.cpu / ours.seconds,
    tokensPerSecond: ours.tokens / ours.seconds,
    shareOfLimit: limit / ours.seconds,
    peakGigabytes: Math.max(...found[i]!.map(({ peak }) => peak)),
    blockedMilliseconds: Math.min(...found[i]!.map(({ blocked }) => blocked)),
    ...(theirs !== undefined && { peerSeconds: theirs, timesPeer: theirs / ours.seconds }),
  };
});

if (options.json) {
  console.log(JSON.stringify({ machine: cpus()[0]?.model, threads, load: loadavg()[0], gemmRate, bandwidth, peer: peer?.version, rows }));
} else {
  console.log(
    `GEMM ${(gemmRate / 1e9).toFixed(0)} GFLOP/s, memory ${(bandwidth / 1e9).toFixed(1)} GB/s, load ${loadavg()[0]!.toFixed(1)}\n`,
  );
  console.log('| work | seconds | busy cores | tokens/s | of the limit | peak GB | event loop blocked, ms | PyTorch s | times PyTorch |');
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
  for (const row of rows) {
    const cells = [
      row.work,
      row.seconds.toFixed(2),
      row.cores.toFixed(1),
      row.tokensPerSecond.toFixed(1),
      `${(100 * row.shareOfLimit).toFixed(0)} %`,
      row.peakGigabytes.toFixed(2),
      row.blockedMilliseconds.toFixed(0),
      row.peerSeconds?.toFixed(2) ?? '',
      row.timesPeer?.toFixed(1) ?? '',
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
