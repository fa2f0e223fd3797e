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
  | { readonly work: 'prefill' | 'decode' | 'update'; readonly size: BenchSize };

/** PyTorch in a process of its own, which works only while it is asked. */
export interface Peer {
  readonly version: string;
  measure(request: PeerRequest): Promise<Measurement>;
  close(): void;
}

/** Starts PyTorch, or says why not. `PYTHON` names the interpreter; /usr/bin/python3 by default. */
export async function openPeer(threads: number): Promise<Peer | string> {
  const python = process.env.PYTHON ?? '/usr/bin/python3';
  // what was set for another BLAS would choose wrong kernels for this one
  const { OPENBLAS_CORETYPE: _, OPENBLAS_L2_SIZE: __, ...environment } = process.env;
  const env = { ...environment, BENCH_THREADS: String(threads), OMP_NUM_THREADS: String(threads) };
  const probe = spawnSync(python, ['-c', 'import torch'], { env, encoding: 'utf8' });
  if (probe.status !== 0) return `${python} -c 'import torch' fails: ${probe.error?.message ?? probe.stderr.trim().split('\n').at(-1)}`;
  const child: ChildProcessWithoutNullStreams = spawn(python, [join(import.meta.dirname, 'peer.py')], { env });
  child.stderr.pipe(process.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('The PyTorch process ended.');
    return JSON.parse(value);
  };
  const { torch } = await answer();
  return {
    version: `PyTorch ${torch}`,
    async measure(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return answer();
    },
    close: () => child.stdin.end(),
  };
}
