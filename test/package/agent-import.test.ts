import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { describe, expect, it } from 'vitest';
import * as agent from '../../src/agent-entry';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const run = promisify(execFile);

/** All of what an app that talks to its users takes from the package. */
const app = "export * from 'rlpa/agent';";

async function bundle(options: { readonly packages?: 'external' } = {}) {
  const { metafile, outputFiles } = await build({
    stdin: { contents: app, resolveDir: root },
    alias: { 'rlpa/agent': join(root, 'dist/agent.js') },
    platform: 'browser',
    format: 'esm',
    bundle: true,
    minify: true,
    splitting: true,
    outdir: 'unused',
    write: false,
    metafile: true,
    tsconfigRaw: '{}',
    logLevel: 'silent',
    external: ['@huggingface/transformers', 'onnxruntime-node'],
    ...options,
  });
  return { eager: eagerOutputs(metafile), metafile, outputFiles };
}

/** The files that are loaded at once, and not when something is first called. */
function eagerOutputs({ outputs }: Metafile): string[] {
  const [entry] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === '<stdin>')!;
  const seen = new Set<string>([entry]);
  for (const file of seen)
    for (const { path, kind, external } of outputs[file]!.imports) if (kind === 'import-statement' && !external) seen.add(path);
  return [...seen];
}

describe('importing rlpa/agent', () => {
  it('loads three small dependencies, neither zod nor a client of any provider', async () => {
    const { eager, metafile } = await bundle();
    const inputs = eager.flatMap((file) =>
      Object.entries(metafile.outputs[file]!.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0),
    );
    const packages = new Set(inputs.flatMap(([file]) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []));
    expect([...packages].sort()).toEqual(['eventemitter3', 'p-limit', 'yocto-queue']); // yocto-queue is p-limit's
  });

  it('is enough to define a profile with: texts and whole numbers need no zod', async () => {
    const program = `
      import { ProfileSchema, slot, text, wholeNumber } from 'rlpa/agent';
      const schema = ProfileSchema.define({ age: slot.one(wholeNumber(0, 130)), interests: slot.many(text) });
      console.log(JSON.stringify(schema.safeProfile({ age: 29, interests: ['jazz', 7] })));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: root });
    expect(JSON.parse(stdout)).toEqual({
      profile: { age: 29, interests: ['jazz'] },
      rejected: [{ slot: 'interests', value: 7, reason: 'expected a text, found 7' }],
    });
  });

  it('is less than 60 KB, minified and gzipped, besides its dependencies', async () => {
    const { eager, outputFiles } = await bundle({ packages: 'external' });
    const texts = outputFiles.filter(({ path }) => eager.some((file) => path.endsWith(file))).map(({ contents }) => contents);
    expect(texts).toHaveLength(eager.length);
    expect(gzipSync(Buffer.concat(texts)).length).toBeLessThan(60 * 1024);
  });

  it.each([
    ['module', "const [whole, part] = await Promise.all([import('rlpa'), import('rlpa/agent')]);"],
    ['commonjs', "const [whole, part] = [require('rlpa'), require('rlpa/agent')];"],
  ])('gives the same as rlpa (%s), and as its source lists', async (kind, load) => {
    const program = `${load} console.log(JSON.stringify(Object.keys(part).map((name) => [name, part[name] === whole[name]])));`;
    const { stdout } = await run(process.execPath, [`--input-type=${kind}`, '--eval', program], { cwd: root });
    const names = Object.keys(agent).sort();
    expect(names).toContain('PersonalizedAgent');
    expect(JSON.parse(stdout).sort()).toEqual(names.map((name) => [name, true]));
  });
});
