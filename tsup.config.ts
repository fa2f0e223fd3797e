import { defineConfig } from 'tsup';

const shared = { target: 'node20', sourcemap: true, splitting: true, shims: true, clean: false } as const;

export default defineConfig([
  {
    ...shared,
    entry: { index: 'src/index.ts', node: 'src/node/index.ts', testing: 'src/testing/index.ts' },
    format: ['esm', 'cjs'],
    dts: true,
    external: ['onnxruntime-node', '@huggingface/transformers'],
  },
  {
    ...shared,
    // Programs rather than modules: nothing imports them, so they need neither types nor CommonJS.
    entry: { cli: 'src/cli/main.ts', 'cpu-worker': 'src/device/cpu/worker.ts' },
    format: ['esm'],
    dts: false,
    external: ['onnxruntime-node', '@huggingface/transformers'],
  },
]);
