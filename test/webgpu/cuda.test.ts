import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  adamw,
  appendToCache,
  clipByGlobalNorm,
  copy,
  cudaPrelude,
  type ElementwiseStep,
  elementwise,
  gather,
  headLogitsGradient,
  headLogProbability,
  type Kernel,
  renderCuda,
  rmsNorm,
  rmsNormGradient,
  rmsNormWeightGradient,
  rotary,
  rotaryAngles,
  sampleHead,
  scatterAdd,
  select,
  sum,
  sumRows,
  swiglu,
  swigluGradient,
} from '../../src/device/kernels/index';
import { tiledMatmul, tiles } from '../../src/device/webgpu/tiled-matmul';

const kinds = ['', ' + addend', ' + itself'] as const;
const limits = [
  { topK: 0, topP: 1 },
  { topK: 5, topP: 1 },
  { topK: 0, topP: 0.9 },
  { topK: 5, topP: 0.9 },
];
const binary = ['add', 'subtract', 'multiply', 'minimum', 'maximum', 'greaterOrEqual'] as const;
const chain: ElementwiseStep[] = [
  ...binary.map(
    (operation): ElementwiseStep => ({
      operation,
      operands: [
        { input: 0, reach: 'each' },
        { input: 1, reach: 'column' },
      ],
      single: false,
    }),
  ),
  { operation: 'exponential', operands: [{ step: 3 }], single: false },
  { operation: 'scale', operands: [{ step: 6 }, { constant: 0.5 }], single: false },
  { operation: 'broadcast', operands: [{ input: 2, reach: 'all' }], single: true },
];

/** Every portable kernel in every variant. */
const kernels: Kernel[] = [
  elementwise(chain, 3, [7, 8], { count: 12, width: 4 }),
  sum(5),
  sum(5, { squares: true, place: 1 }),
  ...kinds.flatMap((kind) => [
    sumRows(3, 4, kind),
    scatterAdd(5, 4, kind),
    rmsNormGradient(3, 64, kind),
    rmsNormWeightGradient(3, 64, kind),
  ]),
  gather(3, 4),
  gather(3, 4, 'i32'),
  select(5),
  select(5, true),
  copy(5),
  ...[false, true].map((chosen) => appendToCache({ batch: 2, length: 3, kvHeads: 2, headSize: 4, capacity: 8 }, chosen)),
  rmsNorm(3, 64, 1e-6),
  rotaryAngles(3, 8),
  ...[[2], [4, 2]].flatMap((heads) => [rotary(3, 8, heads, false), rotary(3, 8, heads, true)]),
  swiglu(5),
  swigluGradient(5),
  clipByGlobalNorm(3),
  adamw(5),
  ...limits.flatMap((limit) => [headLogProbability(3, 9, 0, limit), sampleHead(3, 9, limit, false), sampleHead(3, 9, limit, true)]),
  ...[true, false].flatMap((limited) => [true, false].map((withEntropy) => headLogitsGradient(3, 9, 0, { limited, withEntropy }))),
].map(({ kernel }) => kernel);

function hasCompiler(): boolean {
  try {
    execFileSync('nvcc', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('portable kernels', () => {
  it.skipIf(!hasCompiler())(`compile as CUDA C++ (skipped where there is no nvcc)`, { timeout: 300_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rlpa-cuda-'));
    try {
      const source = join(folder, 'kernels.cu');
      const ptx = join(folder, 'kernels.ptx');
      writeFileSync(source, [cudaPrelude, ...new Set(kernels.map(renderCuda))].join('\n'));
      await promisify(execFile)('nvcc', ['-ptx', '-o', ptx, source]);
      const compiled = readFileSync(ptx, 'utf8');
      const entries = [...compiled.matchAll(/\.visible \.entry (\w+)\(/g)].map(([, name]) => name);
      expect(new Set(entries)).toEqual(new Set(kernels.map(({ name }) => name.replaceAll(/\W+/g, '_'))));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('have names of their own, so that all of them fit into one program', () => {
    const sources = new Map<string, Set<string>>();
    for (const kernel of kernels) {
      const name = kernel.name.replaceAll(/\W+/g, '_');
      sources.set(name, (sources.get(name) ?? new Set()).add(renderCuda(kernel)));
    }
    for (const [name, variants] of sources) expect(variants.size, name).toBe(1);
  });

  it('are told from those written in WGSL, which are refused', () => {
    const shape = { rows: 64, columns: 64, inner: 64, transposeA: false, transposeB: true };
    expect(() => renderCuda(tiledMatmul(shape, tiles[0]!).kernel)).toThrow(/WGSL/);
  });
});
