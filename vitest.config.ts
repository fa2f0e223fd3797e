import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: [
      { find: /^rlpa$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
      { find: /^rlpa\/agent$/, replacement: fileURLToPath(new URL('./src/agent-entry.ts', import.meta.url)) },
      { find: /^rlpa\/(node|server|testing)$/, replacement: fileURLToPath(new URL('./src/$1/index.ts', import.meta.url)) },
      { find: /^rlpa\/tiny$/, replacement: fileURLToPath(new URL('./src/experiments/tiny-task.ts', import.meta.url)) },
      { find: '#policy-host', replacement: fileURLToPath(new URL('./src/node/policy-host.ts', import.meta.url)) },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/build.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The engine uses every core by itself.
    maxWorkers: 2,
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'] },
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text-summary', 'json-summary'] },
  },
});
