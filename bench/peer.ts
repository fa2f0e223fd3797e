import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { BenchSize } from './sizes';

export interface Measurement {
  readonly seconds: number;
  /** Of all threads. */
  readonly cpu: number;
}

export type PeerRequest =
  | { readonly work: 'gemm'; readonly n: number; readonly repeats: number }
  | { readonly work: 'prefill' | 'decode' | 'generate'; readonly size: BenchSize }
  /** In so many micro-batches. */
  | { readonly work: 'update'; readonly size: BenchSize; readonly pieces: number };

/** What numbers are: on WebGPU `f16` is how products multiply, in PyTorch `bf16` is everything. */
export type Precision = 'f32' | 'f16';

/** PyTorch in a process of its own, which works only while it is asked. */
export interface Peer {
  readonly version: string;
  measure(request: PeerRequest): Promise<Measurement>;
  close(): void;
}

/** Processors that OpenBLAS may take this one for: its own guess comes first, and is a plain one where it does not know the processor. */
const coreTypes = [undefined, 'SKYLAKEX', 'SAPPHIRERAPIDS', 'HASWELL'];

/** Prints the GFLOP/s of the best of a few matrix products. */
const rateOfProducts = `
import time, torch
x, best = torch.rand(1024, 1024), 0.0
for _ in range(6):
    started = time.perf_counter()
    x @ x
    best = max(best, 2 * 1024**3 / (time.perf_counter() - started) / 1e9)
print(best)`;

/**
 * Starts PyTorch at its fastest setting, or says why not. `PYTHON` names the interpreter; /usr/bin/python3 by default.
 *
 * @param onGpu computes on the GPU, in this precision
 */
export async function openPeer(threads: number, onGpu?: 'f32' | 'bf16'): Promise<Peer | string> {
  const python = process.env.PYTHON ?? '/usr/bin/python3';
  const { OPENBLAS_CORETYPE: _, OPENBLAS_L2_SIZE: __, ...inherited } = process.env;
  const gpu = onGpu && { BENCH_DEVICE: 'cuda', BENCH_PRECISION: onGpu };
  const environment = { ...inherited, ...gpu, BENCH_THREADS: String(threads), OMP_NUM_THREADS: String(threads) };
  let fastest = { env: environment as NodeJS.ProcessEnv, rate: 0, coreType: undefined as string | undefined };
  for (const coreType of onGpu ? coreTypes.slice(0, 1) : coreTypes) {
    const env = coreType === undefined ? environment : { ...environment, OPENBLAS_CORETYPE: coreType };
    const probe = spawnSync(python, ['-c', rateOfProducts], { env, encoding: 'utf8' });
    if (probe.status !== 0) {
      // Kernels for instructions that this processor lacks end the probe, and only it.
      if (coreType !== undefined) continue;
      return `${python} -c 'import torch' fails: ${probe.error?.message ?? probe.stderr.trim().split('\n').at(-1)}`;
    }
    const rate = Number(probe.stdout);
    if (rate > fastest.rate) fastest = { env, rate, coreType };
  }
  const { env, rate, coreType } = fastest;
  const child: ChildProcessWithoutNullStreams = spawn(python, [join(import.meta.dirname, 'peer.py')], { env });
  child.stderr.pipe(process.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('The PyTorch process ended.');
    return JSON.parse(value);
  };
  const { torch, problem } = await answer();
  if (problem) return problem;
  return {
    version: `PyTorch ${torch}, ${rate.toFixed(0)} GFLOP/s${coreType ? ` as ${coreType}` : ''}`,
    async measure(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const measured = await answer();
      if (measured.problem) throw new Error(measured.problem);
      return measured;
    },
    close: () => child.stdin.end(),
  };
}
