import { existsSync } from 'node:fs';
import { cpuDevice } from '../src/device/cpu/index';
import type { Device } from '../src/device/index';
import type { GpuDevice } from '../src/device/webgpu/index';
import { webgpuDevice } from '../src/node/index';

/** Debian's Chromium brings a software adapter, by which WebGPU is tested where there is no GPU. */
const softwareAdapter = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** A GPU of one's own: the machine's, or else a software adapter. */
export function openWebGpu(): Promise<GpuDevice> {
  if (existsSync(softwareAdapter)) process.env.VK_ICD_FILENAMES ??= softwareAdapter;
  return webgpuDevice();
}

let shared: Promise<GpuDevice | Error> | undefined;

/** One GPU for all policies of a test file: kernels are compiled once. It ends with the process. */
async function sharedWebGpu(): Promise<Device> {
  shared ??= openWebGpu().catch((error: Error) => error);
  const device = await shared;
  if (device instanceof Error) throw device;
  return new Proxy(device, {
    get: (target, name) => {
      if (name === 'dispose') return async () => {};
      const member = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

/** Whether there is a GPU to test on. CI promises one: there, a missing one fails the tests. */
const hasWebGpu =
  process.env.CI === 'true' ||
  (await openWebGpu().then(
    (device) => device.dispose().then(() => true),
    () => false,
  ));

/** The devices that the engine's suites run over, each under its name. */
export const devices: Record<string, () => Promise<Device>> = {
  cpu: async () => cpuDevice({ threads: 2 }),
  ...(hasWebGpu && { webgpu: sharedWebGpu }),
};
