import type { Device } from '../src/device/index';
import type { LocalPolicy, PPOSequence } from '../src/policy/index';
import { Graph, matmul, sum, sumRows } from '../src/tensor/index';
import type { Measurement } from './peer';
import type { BenchSize } from './sizes';

/** The works that are measured, each through the library's own calls. */

export async function measure(work: () => Promise<unknown>): Promise<Measurement> {
  const started = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 };
}

/** The round that was least disturbed. */
export function best<M extends Measurement>(found: readonly M[]): M {
  return found.reduce((least, each) => (each.seconds < least.seconds ? each : least));
}

export const gemmRepeats = 8;

/** A chain of n×n matrix products whose operands are buffers, as weights in training are. */
export async function gemmOf(device: Device, n: number): Promise<() => Promise<unknown>> {
  const graph = new Graph();
  const [x, y] = [graph.buffer('x', [n, n]), graph.buffer('y', [n, n])];
  let product = x;
  for (let i = 0; i < gemmRepeats; i++) product = matmul(product, y);
  graph.output('sum', sum(product));
  const program = await device.compile(graph);
  const entries = () => Float32Array.from({ length: n * n }, (_, i) => Math.abs(Math.sin(i)) / n);
  const buffers = { x: device.create([n, n], 'f32', entries()), y: device.create([n, n], 'f32', entries()) };
  return () => device.run(program, { buffers });
}

/** Bytes that each of {@link memoryReads} reads. */
export const readBytes = 4 * 8192 * 16_384;

/** Reads a matrix that no cache holds once, in two ways: whichever is faster tells what memory gives. */
export async function memoryReads(device: Device): Promise<(() => Promise<unknown>)[]> {
  const shape = [8192, 16_384];
  // written, not only reserved: untouched memory is one page of zeros
  const x = device.create(shape, 'f32', new Float32Array(readBytes / 4).fill(1));
  const row = device.create([1, 16_384], 'f32', new Float32Array(16_384).fill(1));
  const [adding, multiplying] = [new Graph(), new Graph()];
  adding.output('sums', sumRows(adding.buffer('x', shape)));
  multiplying.output('products', matmul(multiplying.buffer('row', [1, 16_384]), multiplying.buffer('x', shape), { transposeB: true }));
  const programs = [await device.compile(adding), await device.compile(multiplying)];
  return programs.map((program) => () => device.run(program, { buffers: { x, row } }));
}

function token(row: number, t: number, { vocabularySize }: BenchSize): number {
  // special tokens stand at the end of the vocabulary
  return (row * 7919 + t * 104_729) % Math.min(vocabularySize, 150_000);
}

export interface SamplingMeasurement {
  /** Until the first token, for all rows. */
  readonly prefill: Measurement;
  /** The tokens after the first. */
  readonly decode: Measurement & { readonly tokens: number };
}

export async function measureSampling(policy: LocalPolicy, size: BenchSize): Promise<SamplingMeasurement> {
  const requests = Array.from({ length: size.rows }, (_, row) => ({
    owner: `row ${row}`,
    prompt: Int32Array.from({ length: size.prompt }, (_, t) => token(row, t, size)),
    seed: row,
  }));
  let tokens = 0;
  let first: { at: number; cpu: NodeJS.CpuUsage } | undefined;
  const started = performance.now();
  const cpu = process.cpuUsage();
  await policy.sample(requests, {
    maxNewTokens: size.sampled,
    onToken: () => {
      tokens++;
      first ??= { at: performance.now(), cpu: process.cpuUsage() };
    },
  });
  const ended = performance.now();
  const inDecoding = process.cpuUsage(first!.cpu);
  const whole = process.cpuUsage(cpu);
  policy.release(requests.map(({ owner }) => owner));
  const cpuSeconds = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;
  return {
    prefill: { seconds: (first!.at - started) / 1000, cpu: cpuSeconds(whole) - cpuSeconds(inDecoding) },
    decode: { seconds: (ended - first!.at) / 1000, cpu: cpuSeconds(inDecoding), tokens: tokens - size.rows },
  };
}

/** Loss, gradient, clipping and AdamW for a batch in one piece. */
export async function measureUpdate(policy: LocalPolicy, size: BenchSize): Promise<Measurement> {
  const sequences = Array.from({ length: size.rows }, (_, row): PPOSequence => {
    const ids = Int32Array.from({ length: size.length }, (_, t) => token(row, t, size));
    const column = (of: (t: number) => number) => Float32Array.from({ length: size.length }, (_, t) => of(t));
    const guess = -Math.log(size.vocabularySize);
    return {
      tokens: ids,
      actionMask: Uint8Array.from({ length: size.length }, (_, t) => Number(t >= size.length - size.actions)),
      oldLogProbs: column(() => guess),
      referenceLogProbs: column(() => guess),
      oldValues: column(() => 0),
      advantages: column((t) => Math.sin(t)),
      returns: column((t) => Math.cos(t)),
    };
  });
  return measure(async () => {
    await policy.accumulatePPO(sequences, {
      clip: 0.2,
      valueClip: 1,
      valueCoefficient: 0.5,
      entropyCoefficient: 0.01,
      klLossCoefficient: 0.01,
      klLoss: 'k3',
      normalizer: size.rows * size.actions,
    });
    await policy.update({ learningRate: 1e-6, betas: [0.9, 0.95], epsilon: 1e-5, weightDecay: 0, maxGradientNorm: 1 });
  });
}
