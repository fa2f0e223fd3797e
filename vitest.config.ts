import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes longest begins first: no worker is left alone with it at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const longest = ['browser/training', 'webgpu/half-precision', 'webgpu/training', 'experiments/command-line'];
    const placeOf = ({ moduleId }: TestSpecification) =>
      longest.findIndex((name) => moduleId.includes(`/${name}.`)) + 1 || longest.length + 1;
    return (await super.sort(files)).sort((a, b) => placeOf(a) - placeOf(b));
  }
}

export default defineConfig({
  resolve: {
    alias: [
      { find: /^rlpa$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
      { find: /^rlpa\/(agent|node|server)$/, replacement: fileURLToPath(new URL('./src/$1-entry.ts', import.meta.url)) },
      { find: /^rlpa\/testing$/, replacement: fileURLToPath(new URL('./src/testing/index.ts', import.meta.url)) },
      { find: /^rlpa\/tiny$/, replacement: fileURLToPath(new URL('./src/experiments/tiny-task.ts', import.meta.url)) },
      { find: '#policy-host', replacement: fileURLToPath(new URL('./src/node/policy-host.ts', import.meta.url)) },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/build.ts', 'test/run-folder.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // a busy machine may need a while for what is asked about again and again
    expect: { poll: { timeout: 20_000 } },
    // The engine uses every core by itself.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // all else is checked by `npm run typecheck`
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'], tsconfig: 'test/types.tsconfig.json' },
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text-summary', 'json-summary'] },
  },
});
