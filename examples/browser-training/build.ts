/**
 * Bundles the page into static files for any web server:
 *
 *   npm run build                                             # once: the page takes rlpa as an app would, from the package
 *   npx tsx examples/browser-training/build.ts                # into examples/browser-training/dist
 *   npx tsx examples/browser-training/build.ts --serve        # and shows them on http://localhost:8788
 */
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type BuildOptions, build, context } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { serve: { type: 'boolean', default: false }, port: { type: 'string', default: '8788' } },
});
const outdir = positionals[0] ?? join(here, 'dist');

const options: BuildOptions = {
  entryPoints: ['main.ts', 'worker.ts'].map((file) => join(here, file)),
  outdir,
  bundle: true,
  // What is loaded only when asked for, such as the client of OpenAI, stays apart and is never fetched here.
  splitting: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  external: ['@huggingface/transformers'],
  // By package.json alone, as everybody else's bundler finds rlpa: not by the paths of this repository's tsconfig.json.
  tsconfigRaw: '{}',
  // Inside this repository rlpa is not under node_modules, where esbuild would not mention it.
  logOverride: { 'ignored-bare-import': 'silent' },
};

await mkdir(outdir, { recursive: true });
for (const file of ['index.html', 'page.css']) await copyFile(join(here, file), join(outdir, file));
await copyFile(fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css')), join(outdir, 'uPlot.min.css'));
if (values.serve) {
  const watched = await context(options);
  const { port } = await watched.serve({ servedir: outdir, host: '127.0.0.1', port: Number(values.port) });
  console.log(`Open http://localhost:${port}`);
} else {
  await build(options);
}
