import { checkKnown, RlpaError } from '../../errors';
import type { MatmulPrecision } from '../device';
import { type MatrixUnit, matrixMatmul, matrixTiles } from './matrix-matmul';
import { Pipelines } from './pipelines';
import type { Arithmetic } from './tiles';
import { type GpuDevice, WebGpuDevice, type WebGpuDeviceOptions } from './webgpu-device';

/** The entry point of WebGPU: `navigator.gpu` in a browser, what `create` of the package `webgpu` returns in Node. */
export interface WebGpu {
  requestAdapter(options?: { readonly powerPreference?: 'high-performance' | 'low-power' }): Promise<unknown>;
}

export interface WebGpuOptions extends WebGpuDeviceOptions {
  /** `navigator.gpu` by default. */
  readonly gpu?: WebGpu | undefined;
  readonly powerPreference?: 'high-performance' | 'low-power' | undefined;
  /**
   * `f32` by default. With `f16` the factors of matrix products are rounded to half precision as they are brought to shared memory; numbers
   * beyond ±65,504, and gradients beyond ±64, are cut off; sums, and everything in memory, stay single. Subgroup matrices (tensor cores)
   * multiply where the adapter has them, and subgroups of one size.
   */
  readonly matmulPrecision?: MatmulPrecision | undefined;
}

/** Features that kernels use where an adapter has them. */
const wantedFeatures = ['shader-f16', 'subgroups', 'timestamp-query', 'chromium-experimental-subgroup-matrix'];

/**
 * Opens a GPU with everything that its adapter offers.
 *
 * @throws `missing-dependency` where there is no WebGPU or no adapter, `device-failed` where half precision is asked of one that lacks it
 * @example
 * import { openWebGpu } from 'rlpa';
 * import { tinyTask } from 'rlpa/tiny';
 * const device = await openWebGpu(); // in a browser
 * const policy = await tinyTask().warmStart({ device });
 */
export async function openWebGpu(given: WebGpuOptions = {}): Promise<GpuDevice> {
  checkKnown('openWebGpu', given, {
    gpu: true,
    powerPreference: true,
    matmulPrecision: true,
    tuning: true,
    tune: true,
    onTuned: true,
    busyWaiting: true,
  });
  const { gpu, powerPreference = 'high-performance', matmulPrecision = 'f32', ...options } = given;
  const entry = gpu ?? (globalThis.navigator as { gpu?: WebGpu } | undefined)?.gpu;
  if (!entry) {
    throw new RlpaError(
      'missing-dependency',
      'There is no WebGPU here: use a browser that has it, over https or on localhost, or in Node the package webgpu (npm install webgpu).',
      { package: 'webgpu' },
    );
  }
  const adapter = (await entry.requestAdapter({ powerPreference })) as GPUAdapter | null;
  if (!adapter) {
    throw new RlpaError(
      'missing-dependency',
      'WebGPU finds no GPU: install its driver (on Linux with Vulkan, and the library libvulkan1), allow WebGPU in the browser, or use the CPU.',
      { adapter: null },
    );
  }
  if (matmulPrecision === 'f16' && !adapter.features.has('shader-f16')) {
    const name = adapter.info.description || adapter.info.vendor || 'unnamed';
    throw new RlpaError(
      'device-failed',
      `This GPU (${name}) has no half precision (shader-f16): take the device 'webgpu', or matmulPrecision 'f32'; a newer driver may have it.`,
      { adapter: name, feature: 'shader-f16' },
    );
  }
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const limit = adapter.limits[name as keyof GPUSupportedLimits];
    // subgroup sizes and the like are listed with the limits by some, but can't be asked for
    if (typeof limit === 'number' && /^max.*(Buffer|Compute)|^minStorage/.test(name)) limits[name] = limit;
  }
  const requiredFeatures = wantedFeatures.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
  const device = await adapter.requestDevice({ requiredLimits: limits, requiredFeatures });
  const arithmetic: Arithmetic = { precision: matmulPrecision, ...(matmulPrecision === 'f16' && (await matrixUnit(adapter, device))) };
  return new WebGpuDevice(device, options, arithmetic);
}

/**
 * The largest matrices of half precision that a subgroup multiplies into single precision, if there are any and a kernel with them compiles:
 * the feature is experimental, and its language changes.
 */
async function matrixUnit({ info }: GPUAdapter, device: GPUDevice): Promise<{ readonly unit: MatrixUnit } | undefined> {
  const {
    subgroupMinSize,
    subgroupMaxSize,
    subgroupMatrixConfigs = [],
  } = info as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
  };
  if (!device.features.has('chromium-experimental-subgroup-matrix' as GPUFeatureName)) return undefined;
  // a kernel counts on the size of its subgroups
  if (subgroupMinSize === undefined || subgroupMinSize !== subgroupMaxSize) return undefined;
  const units = [...subgroupMatrixConfigs]
    .filter(({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32')
    .map(({ M, N, K }): MatrixUnit => ({ rows: M, columns: N, inner: K, lanes: subgroupMinSize }))
    .filter((unit) => matrixTiles(unit).length > 0)
    .sort((one, other) => other.rows * other.columns * other.inner - one.rows * one.columns * one.inner);
  const [unit] = units;
  if (!unit) return undefined;
  const { kernel } = matrixMatmul({ rows: 1, columns: 1, inner: 1, transposeA: false, transposeB: true }, matrixTiles(unit)[0]!);
  const compiled = await new Pipelines(device).get(kernel, 'a trial').catch(() => undefined);
  return compiled && { unit };
}

interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}
