import { type Device, type DeviceKind, matmulPrecisionOf } from '../device/index';
import { cpuDevice, webgpuDevice } from '../node/index';
import type { TinySize } from './experiment';

/**
 * Opens the device that an experiment runs on. A software adapter is used as asked for, but not silently.
 *
 * @param size of the policy, where another could be chosen
 */
export async function openDevice({
  device = 'cpu',
  size,
  onWarning,
}: {
  readonly device?: DeviceKind;
  readonly size?: TinySize;
  readonly onWarning?: (message: string) => void;
}): Promise<Device> {
  if (device === 'cpu') return cpuDevice();
  const gpu = await webgpuDevice({ matmulPrecision: matmulPrecisionOf(device) });
  if (gpu.adapter.software) {
    const smaller = size === 'tiny' ? '--size micro shows the whole of it, ' : '';
    onWarning?.(
      `WebGPU finds no GPU here, only a software adapter (${gpu.adapter.name}), some hundred times slower than the CPU device: ${smaller}--device cpu is fast.`,
    );
  }
  return gpu;
}
