import { build } from 'tsup';

/** The CPU device runs its thread from `dist`: tests run the thread that belongs to the sources under test. */
export default async function buildWorker(): Promise<void> {
  await build({
    config: false,
    entry: { 'cpu-worker': 'src/device/cpu/worker.ts' },
    format: ['esm'],
    target: 'node20',
    external: ['koffi'],
    silent: true,
    clean: false,
  });
}
