import { defineConfig, type Options } from 'tsup';

const modules = {
  index: 'src/index.ts',
  agent: 'src/agent-entry.ts',
  node: 'src/node-entry.ts',
  server: 'src/server-entry.ts',
  testing: 'src/testing/index.ts',
  tiny: 'src/experiments/tiny-task.ts',
};

const shared: Options = {
  target: 'node20',
  sourcemap: true,
  splitting: true,
  clean: false,
  removeNodeProtocol: false,
  // Node 20 knows \p{…}; esbuild, not sure of the newest scripts, would make each such expression anew whenever it is come to.
  esbuildOptions: (options) => {
    options.supported = { 'regexp-unicode-property-escapes': true };
  },
  // Peers that are loaded when they are asked for, and what package.json's `imports` resolve where the package is used.
  external: ['koffi', 'webgpu', '@huggingface/transformers', /^#/],
};

/** `tsup --no-dts` leaves the types out, which take most of the time and which running needs not. */
export default defineConfig(({ dts }) => [
  {
    ...shared,
    format: ['esm'],
    entry: {
      ...modules,
      // The two meanings of `#policy-host`. A CommonJS importer gets these too: import() works there.
      'policy-host': 'src/node/policy-host.ts',
      'no-policy-host': 'src/policy/no-policy-host.ts',
      // Programs: nothing imports them.
      cli: 'src/cli/main.ts',
      'cpu-worker': 'src/device/cpu/worker.ts',
    },
  },
  // `import.meta.url`, by which the CPU device finds its worker, needs a shim here.
  { ...shared, format: ['cjs'], entry: modules, shims: true },
  ...(dts === false ? [] : [{ ...shared, format: ['esm', 'cjs'] satisfies Options['format'], entry: modules, dts: { only: true } }]),
]);
