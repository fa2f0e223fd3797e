import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { builtinModules, isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build, type Plugin } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const run = promisify(execFile);

/** Runs a program where `rlpa` is the built package, and gives what it wrote. */
async function inNode(program: string, kind: 'module' | 'commonjs'): Promise<string> {
  const { stdout } = await run(process.execPath, [`--input-type=${kind}`, '--eval', program], { cwd: root });
  return stdout.trim();
}

/** What a bundler finds from an entry of the package: the files of the bundle by their path, and all built-ins with who imports them. */
async function bundle(code: string, platform: 'browser' | 'node') {
  const builtins: { readonly name: string; readonly importer: string; readonly dynamic: boolean }[] = [];
  const findBuiltins: Plugin = {
    name: 'find-builtins',
    setup({ onResolve }) {
      onResolve({ filter: /.*/ }, ({ path, importer, kind }) => {
        if (!isBuiltin(path)) return undefined;
        builtins.push({ name: path, importer, dynamic: kind === 'dynamic-import' });
        return { path, external: true };
      });
    },
  };
  const { metafile } = await build({
    stdin: { contents: code, resolveDir: root },
    platform,
    format: 'esm',
    bundle: true,
    splitting: true,
    outdir: 'unused',
    write: false,
    metafile: true,
    logLevel: 'silent',
    // As a stranger sees the package: by package.json alone.
    tsconfigRaw: '{}',
    // Optional peers, whose own code is theirs.
    external: ['@huggingface/transformers', 'onnxruntime-node'],
    plugins: [findBuiltins],
  });
  return { builtins, metafile };
}

beforeAll(() => {
  if (!existsSync(join(root, 'dist/index.js'))) throw new Error('dist/ is not there: run `npm run build` first (`npm test` does).');
});

describe('importing rlpa', () => {
  it('leads to no Node built-in in a bundle for browsers, dependencies and what is loaded later included', async () => {
    const { builtins, metafile } = await bundle(
      "export * from 'rlpa'; export * from 'rlpa/testing'; export * from 'rlpa/tiny';",
      'browser',
    );
    expect(builtins).toEqual([]);
    const files = Object.keys(metafile.inputs);
    expect(files).toContain('dist/no-policy-host.js');
    // Models of the AI SDK fit by their shape.
    expect(files.filter((file) => /node_modules\/(?:ai|@ai-sdk)\//.test(file))).toEqual([]);
  });

  it('finds the built-ins where they are meant to be, so that finding none means something', async () => {
    const { builtins } = await bundle("export * from 'rlpa/node';", 'node');
    expect(new Set(builtins.map(({ name }) => name))).toContain('node:fs/promises');
    expect(builtins.every(({ name }) => builtinModules.includes(name.replace('node:', '')))).toBe(true);
  });

  it.each([
    ['module', "const rlpa = await import('rlpa');"],
    ['commonjs', "const rlpa = require('rlpa');"],
  ] as const)('loads no native module (%s)', async (kind, load) => {
    const program = `
      const native = [];
      const { dlopen } = process;
      process.dlopen = (module, path, ...rest) => { native.push(path); return dlopen(module, path, ...rest); };
      const start = performance.now();
      ${load}
      const milliseconds = performance.now() - start;
      const { ProfileSchema, PersonalizedAgent, LocalPolicy } = rlpa;
      console.log(JSON.stringify({ native, milliseconds, names: [ProfileSchema, PersonalizedAgent, LocalPolicy].map((value) => typeof value) }));`;
    const { native, milliseconds, names } = JSON.parse(await inNode(program, kind));
    // Measured, not asserted: it is the machine's as much as ours.
    console.info(`importing rlpa as ${kind}: ${milliseconds.toFixed(0)} ms`);
    expect(names).toEqual(['function', 'function', 'function']);
    expect(native).toEqual([]);
  });
});

describe('the built package', () => {
  const policy = `
    const config = parseModelConfig({ model_type: 'qwen2', hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1,
      num_attention_heads: 2, vocab_size: 300, max_position_embeddings: 64 });
    const files = trainTokenizer({ texts: ['hello world'], vocabularySize: 280 });
    const tokenizer = Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig);
    const parts = { config, tokenizer, seed: 1 };
    const sequence = { tokens: Int32Array.of(1, 2, 3), actionMask: Uint8Array.of(0, 1, 1) };
    const scores = [];
    for (const policy of [await LocalPolicy.create(parts), new LocalPolicy(cpuDevice(), parts, parts)]) {
      scores.push([...(await policy.score([sequence]))[0].logProbs]);
      await policy.dispose();
    }
    console.log(JSON.stringify(scores));`;
  const names = '{ LocalPolicy, parseModelConfig, Tokenizer, trainTokenizer }';

  it('runs a policy in its worker thread, imported and required alike', async () => {
    const imported = await inNode(`import ${names} from 'rlpa'; import { cpuDevice } from 'rlpa/node'; ${policy}`, 'module');
    const required = await inNode(
      `const ${names} = require('rlpa'); const { cpuDevice } = require('rlpa/node'); (async () => { ${policy} })();`,
      'commonjs',
    );
    const [opened, given] = JSON.parse(imported);
    expect(opened[1]).toBeLessThan(-1);
    expect(given).toEqual(opened);
    expect(JSON.parse(required)).toEqual([opened, given]);
  });

  it('says what is missing where there is no Node', async () => {
    const { policyHost } = (await import(join(root, 'dist/no-policy-host.js'))) as typeof import('../../src/policy/no-policy-host');
    await expect(policyHost.readPolicy('./model', {})).rejects.toMatchObject({ code: 'missing-dependency' });
  });
});
