import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type GpuDevice, openWebGpu, type Tuning, type WebGpu, type WebGpuOptions } from '../device/webgpu/index';
import { checkKnown, RlpaError } from '../errors';
import { isObject } from '../json-object';
import { writeJsonWhole } from './write-whole';

export interface NodeWebGpuOptions extends Omit<WebGpuOptions, 'gpu' | 'busyWaiting'> {
  /** Dawn's options, such as `backend=vulkan` or `adapter=NVIDIA`. */
  readonly dawn?: readonly string[] | undefined;
  /** Where tile choices that were measured are kept; by default in the user's cache folder. */
  readonly tuningFile?: string | undefined;
}

/**
 * Subgroup matrices are experimental; and our kernels write workgroup memory before they read it, so that clearing it first would only cost
 * time (and on a software adapter ten times the compilation).
 */
const dawnFeatures = ['allow_unsafe_apis', 'disable_workgroup_init'];
/** What Dawn wants before it offers half precision, and matrices of it, on some drivers. */
const halfFeatures = ['vulkan_enable_f16_on_nvidia', 'use_vulkan_memory_model'];

/**
 * WebGPU's entry points by their options. Dawn ends what belongs to one when it is garbage-collected, and does not survive it while a
 * device is still being destroyed: so they are kept for the whole process.
 */
const entryPoints = new Map<string, WebGpu>();

/**
 * A GPU for a policy in Node, by the optional peer `webgpu` (Dawn).
 *
 * @throws `missing-dependency` if the package is not installed, does not load on this system, or finds no GPU
 * @example
 * import { LocalPolicy } from 'rlpa';
 * import { webgpuDevice } from 'rlpa/node';
 * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { device: await webgpuDevice(), lora: { rank: 16 } });
 */
export async function webgpuDevice(given: NodeWebGpuOptions = {}): Promise<GpuDevice> {
  checkKnown('webgpuDevice', given, {
    dawn: true,
    tuningFile: true,
    powerPreference: true,
    matmulPrecision: true,
    tuning: true,
    tune: true,
    onTuned: true,
  });
  const { dawn = [], tuningFile, ...options } = given;
  const { create } = await import('webgpu').catch((cause: Error) => {
    const reason =
      (cause as { code?: string }).code === 'ERR_MODULE_NOT_FOUND' ? 'npm install webgpu' : `it does not load: ${cause.message}`;
    throw new RlpaError('missing-dependency', `The WebGPU device needs the package webgpu: ${reason}`, { package: 'webgpu' }, { cause });
  });
  const features = options.matmulPrecision === 'f16' ? [...dawnFeatures, ...halfFeatures] : dawnFeatures;
  const settings = [`enable-dawn-features=${features.join()}`, ...dawn];
  const key = settings.join('\n');
  const gpu = entryPoints.get(key) ?? (create(settings) as unknown as WebGpu);
  entryPoints.set(key, gpu);
  const file = tuningFile ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'rlpa', 'webgpu-tiles.json');
  return openWebGpu({
    tuning: await readTuning(file),
    onTuned: (adapter, tuning) => rememberTuning(file, adapter, tuning),
    ...options,
    gpu,
    busyWaiting: true,
  });
}

/** Tile choices by adapter, and by kind of product. A cache: what can't be read is measured again. */
async function readTuning(file: string): Promise<Record<string, Tuning>> {
  try {
    const found: unknown = JSON.parse(await readFile(file, 'utf8'));
    return isObject(found) ? (found as Record<string, Tuning>) : {};
  } catch {
    return {};
  }
}

async function rememberTuning(file: string, adapter: string, tuning: Tuning): Promise<void> {
  const known = await readTuning(file);
  // a folder that can't be written costs another measurement, not the run
  await writeJsonWhole(file, { ...known, [adapter]: { ...known[adapter], ...tuning } }).catch(() => {});
}
