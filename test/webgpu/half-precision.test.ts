import { existsSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { create } from 'webgpu';
import { renderWgsl, sharedBytes } from '../../src/device/kernels/index';
import type { GpuDevice } from '../../src/device/webgpu/index';
import type { MatmulShape } from '../../src/device/webgpu/matmul';
import { type MatrixUnit, matrixMatmul, matrixThreads, matrixTiles } from '../../src/device/webgpu/matrix-matmul';
import { webgpuDevice } from '../../src/node/index';
import { Random } from '../../src/random';
import { add, Graph, matmul } from '../../src/tensor/index';
import { besideReference, goldenTraining, loadCase, policyOf } from '../policy/golden-case';
import { describeWithShared } from '../shared';

/** Mesa's software adapter, which knows half precision from version 25 on, and subgroup matrices from 26. */
const softwareAdapter = ['/usr/share/vulkan/icd.d/lvp_icd.json', '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json'].find((file) =>
  existsSync(file),
);
if (softwareAdapter) process.env.VK_ICD_FILENAMES ??= softwareAdapter;
// It compiles far longer than it computes: for narrow vectors, and without optimisation, less than half as long. Its subgroup matrices want wide ones.
process.env.LP_NATIVE_VECTOR_WIDTH ??= '128';
process.env.GALLIVM_PERF ??= 'nopt';
const found = await webgpuDevice({ matmulPrecision: 'f16' }).catch((error: Error) => error);
const missing = found instanceof Error ? ` (skipped: ${found.message})` : '';
const gpu = found as GpuDevice;
afterAll(() => (missing ? undefined : gpu.dispose()));

const dice = new Random(5);
const numbers = (count: number, size = 1) => Float32Array.from({ length: count }, () => size * dice.normal());

/** Half precision has eleven digits: each factor is off by 2⁻¹¹ of itself at most, and so a product by twice that, of the sum of all |a·b|. */
const rounding = 2 ** -10;

interface Factors {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** op(a)·op(b) in double precision, and the same of absolute values. */
function exact({ rows, inner, columns, transposeA, transposeB, a, b }: Factors) {
  const [sums, sizes] = [new Float64Array(rows * columns), new Float64Array(rows * columns)];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let k = 0; k < inner; k++) {
        const term = a[transposeA ? k * rows + i : i * inner + k]! * b[transposeB ? j * inner + k : k * columns + j]!;
        sums[i * columns + j]! += term;
        sizes[i * columns + j]! += Math.abs(term);
      }
    }
  }
  return { sums, sizes };
}

function factors([rows, inner, columns]: readonly [number, number, number], transposes: readonly [boolean, boolean], sizeA = 1): Factors {
  const [transposeA, transposeB] = transposes;
  return { rows, inner, columns, transposeA, transposeB, a: numbers(rows * inner, sizeA), b: numbers(inner * columns) };
}

function products(graph: Graph, { rows, inner, columns, transposeA, transposeB }: Factors) {
  const a = graph.input('a', transposeA ? [inner, rows] : [rows, inner]);
  const b = graph.input('b', transposeB ? [columns, inner] : [inner, columns]);
  return (gradient?: 'a' | 'b') => matmul(a, b, { transposeA, transposeB, ...(gradient && { gradient }) });
}

/** The largest error of a result, in units of what rounding explains. */
function errorOf(result: ArrayLike<number>, { sums, sizes }: ReturnType<typeof exact>, added: (i: number) => number = () => 0): number {
  return sums.reduce((worst, sum, i) => {
    const error = Math.abs(result[i]! - sum - added(i));
    // what is added, and the sum, are in single precision
    return Math.max(worst, error / (rounding * sizes[i]! + 2 ** -22 * (Math.abs(added(i)) + sizes[i]!)));
  }, 0);
}

const suite = missing ? describe.skip : describe;

suite(`products in half precision${missing}`, () => {
  // a software adapter takes seconds to compile each kernel
  it.each([
    ['alone', [20, 37, 30], [false, false]],
    ['with a bias', [20, 36, 32], [false, true]],
    ['added to another', [20, 37, 30], [true, false]],
    ['alone', [17, 40, 31], [true, true]],
    ['with a bias', [70, 20, 68], [false, true]],
  ] as const)('%s, of [rows, inner, columns] %j, transposed %j, are off by no more than their rounding', async (kind, size, transposes) => {
    const given = factors(size, transposes);
    const { rows, columns } = given;
    const graph = new Graph();
    const product = products(graph, given)();
    const addend = kind === 'with a bias' ? graph.input('addend', [columns]) : graph.input('addend', [rows, columns]);
    const data = kind === 'alone' ? new Float32Array(rows * columns) : numbers(addend.shape.reduce((a, b) => a * b));
    graph.output('y', kind === 'alone' ? product : add(product, addend));
    const { y } = await gpu.run(await gpu.compile(graph), { inputs: { a: given.a, b: given.b, addend: data } });
    const error = errorOf(y!, exact(given), (i) => data[i % data.length]!);
    expect(error).toBeLessThan(1);
    // and they are rounded: in single precision they would be off by less than a hundredth of it
    expect(error).toBeGreaterThan(0.01);
  });

  it('keep the digits of gradients that half precision has no numbers for, and no others', async () => {
    const given = factors([20, 36, 32], [false, false], 1e-7);
    const graph = new Graph();
    const product = products(graph, given);
    graph.output('gradient', product('a'));
    graph.output('plain', product());
    const { gradient, plain } = await gpu.run(await gpu.compile(graph), { inputs: { a: given.a, b: given.b } });
    const wanted = exact(given);
    // numbers around 1e-4 after scaling, with nearly all digits
    expect(errorOf(gradient!, wanted)).toBeLessThan(1);
    expect(errorOf(plain!, wanted)).toBeGreaterThan(10);
  });

  it('cut off what is beyond the largest number, of gradients beyond 64, and keep what is none', async () => {
    const graph = new Graph();
    const size = { rows: 20, inner: 36, columns: 32, transposeA: false, transposeB: false };
    const a = new Float32Array(20 * 36);
    const first = [1e6, -1e30, 60_000, 0, Number.NaN, 50];
    for (const [row, value] of first.entries()) a[row * 36] = value;
    const given: Factors = { ...size, a, b: new Float32Array(36 * 32).fill(1) };
    const product = products(graph, given);
    graph.output('y', product());
    graph.output('gradient', product('a'));
    const { y, gradient } = await gpu.run(await gpu.compile(graph), { inputs: { a, b: given.b } });
    const column = (result: ArrayLike<number>) => first.map((_, row) => result[row * 32]);
    expect(column(y!)).toEqual([65_504, -65_504, 60_000, 0, Number.NaN, 50]);
    expect(column(gradient!)).toEqual([65_504 / 1024, -65_504 / 1024, 65_504 / 1024, 0, Number.NaN, 50]);
  });
});

const goldenSuite: typeof describeWithShared = missing ? (name) => describe.skip(name, () => it('', () => {})) : describeWithShared;

goldenSuite(`PPO in half precision${missing}`, 'golden/README.md', () => {
  it('takes the reference’s three steps, to what the rounding of factors leaves of its digits', { timeout: 600_000 }, async () => {
    const golden = loadCase('qwen2-tied');
    const policy = policyOf(golden, gpu, { layout: 'packed' });
    const { sequences, loss, update } = goldenTraining(golden);
    const before = await policy.readWeights();
    for (const [n, reference] of golden.steps.entries()) {
      const report = await policy.accumulatePPO(sequences, loss);
      const { gradientNorm } = await policy.update(update);
      for (const [what, value, wanted] of besideReference(report, reference))
        expect(Math.abs(value - wanted), `${what} of step ${n + 1}`).toBeLessThan(2e-3);
      expect(Math.abs(gradientNorm / reference.grad_norm - 1), `gradient norm of step ${n + 1}`).toBeLessThan(2e-3);
    }
    // How far from the reference's weights, by how far these have moved. AdamW divides a gradient by its own size: where one is nearly zero,
    // rounding decides its direction.
    let [apart, moved] = [0, 0];
    for (const [key, { data }] of await policy.readWeights()) {
      const wanted = golden.expected.get(`param.after3.${key}`)?.data;
      if (!wanted) continue;
      for (const [i, value] of data.entries()) {
        apart += (value - wanted[i]!) ** 2;
        moved += (wanted[i]! - before.get(key)!.data[i]!) ** 2;
      }
    }
    expect(moved).toBeGreaterThan(0);
    expect(Math.sqrt(apart / moved)).toBeLessThan(0.05);
  });
});

describe('matrices of half precision', () => {
  const units: MatrixUnit[] = [
    { rows: 16, columns: 16, inner: 16, lanes: 32 },
    { rows: 16, columns: 8, inner: 16, lanes: 32 },
    { rows: 8, columns: 16, inner: 16, lanes: 16 },
    { rows: 8, columns: 8, inner: 8, lanes: 8 },
  ];

  it('are multiplied by kernels that compile, whatever is transposed, added or summed', async () => {
    const entry = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    const adapter = (await entry.requestAdapter())!;
    const requiredFeatures = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'] as GPUFeatureName[];
    const device = await adapter.requestDevice({ requiredFeatures });
    let kernels = 0;
    for (const tile of units.flatMap(matrixTiles)) {
      const rowSums = matrixThreads(tile) >= tile.rows ? '' : undefined;
      const variants: Omit<MatmulShape, 'rows' | 'columns' | 'inner'>[] = [
        { transposeA: false, transposeB: true, bias: true },
        { transposeA: false, transposeB: false, accumulate: ' + addend' },
        { transposeA: true, transposeB: false, accumulate: ' + itself', rowSums },
        { transposeA: true, transposeB: true },
      ];
      for (const variant of variants) {
        for (const odd of [0, 1]) {
          const { kernel } = matrixMatmul({ rows: 64 + odd, columns: 128 + odd, inner: 96 + odd, ...variant }, tile);
          const module = device.createShaderModule({ code: renderWgsl(kernel) });
          const { messages } = await module.getCompilationInfo();
          expect(
            messages.map(({ message }) => message),
            kernel.name,
          ).toEqual([]);
          // what every GPU with such matrices has
          expect(sharedBytes(kernel)).toBeLessThanOrEqual(32_768);
          kernels++;
        }
      }
    }
    expect(kernels).toBeGreaterThan(100);
    device.destroy();
  });
});
