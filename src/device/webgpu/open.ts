import { RlpaError } from '../../errors';
import { type GpuDevice, WebGpuDevice, type WebGpuDeviceOptions } from './webgpu-device';

/** The entry point of WebGPU: `navigator.gpu` in a browser, what `create` of the package `webgpu` returns in Node. */
export interface WebGpu {
  requestAdapter(options?: { readonly powerPreference?: 'high-performance' | 'low-power' }): Promise<unknown>;
}

export interface WebGpuOptions extends WebGpuDeviceOptions {
  /** `navigator.gpu` by default. */
  readonly gpu?: WebGpu;
  readonly powerPreference?: 'high-performance' | 'low-power';
}

/** Features that kernels use where an adapter has them. */
const wantedFeatures = ['shader-f16', 'subgroups', 'timestamp-query', 'chromium-experimental-subgroup-matrix'];

/**
 * Opens a GPU with everything that its adapter offers.
 *
 * @throws `missing-dependency` where there is no WebGPU or no adapter
 * @example
 * const device = await openWebGpu();                       // in a browser
 * const policy = await LocalPolicy.create({ ...model, device });
 */
export async function openWebGpu({ gpu, powerPreference = 'high-performance', ...options }: WebGpuOptions = {}): Promise<GpuDevice> {
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
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const limit = adapter.limits[name as keyof GPUSupportedLimits];
    // subgroup sizes and the like are listed with the limits by some, but can't be asked for
    if (typeof limit === 'number' && /^max.*(Buffer|Compute)|^minStorage/.test(name)) limits[name] = limit;
  }
  const requiredFeatures = wantedFeatures.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
  const device = await adapter.requestDevice({ requiredLimits: limits, requiredFeatures });
  return new WebGpuDevice(device, options);
}
