import { type GpuDevice, openWebGpu, type WebGpu, type WebGpuOptions } from '../device/webgpu/index';
import { RlpaError } from '../errors';

export interface NodeWebGpuOptions extends Omit<WebGpuOptions, 'gpu'> {
  /** Dawn's options, such as `backend=vulkan` or `adapter=NVIDIA`. */
  readonly dawn?: readonly string[];
}

/**
 * Subgroup matrices are experimental; and our kernels write workgroup memory before they read it, so that clearing it first would only cost
 * time (and on a software adapter ten times the compilation).
 */
const dawnFeatures = ['allow_unsafe_apis', 'disable_workgroup_init'];

/**
 * WebGPU's entry points by their options. Dawn ends what belongs to one when it is garbage-collected, and does not survive it while a
 * device is still being destroyed: so there is one for the whole process.
 */
const entryPoints = new Map<string, WebGpu>();

/**
 * A GPU for a policy in Node, by the optional peer `webgpu` (Dawn).
 *
 * @throws `missing-dependency` if the package is not installed, does not load on this system, or finds no GPU
 * @example
 * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { device: await webgpuDevice(), lora: { rank: 16 } });
 */
export async function webgpuDevice({ dawn = [], ...options }: NodeWebGpuOptions = {}): Promise<GpuDevice> {
  const { create } = await import('webgpu').catch((cause: Error) => {
    const reason =
      (cause as { code?: string }).code === 'ERR_MODULE_NOT_FOUND' ? 'npm install webgpu' : `it does not load: ${cause.message}`;
    throw new RlpaError('missing-dependency', `The WebGPU device needs the package webgpu: ${reason}`, { package: 'webgpu' }, { cause });
  });
  const settings = [`enable-dawn-features=${dawnFeatures.join()}`, ...dawn];
  const key = settings.join('\n');
  const gpu = entryPoints.get(key) ?? (create(settings) as unknown as WebGpu);
  entryPoints.set(key, gpu);
  return openWebGpu({ ...options, gpu });
}
