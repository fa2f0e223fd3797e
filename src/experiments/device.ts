import { type Device, type DeviceKind, matmulPrecisionOf } from '../device/index';
import { cpuDevice, webgpuDevice } from '../node/index';

/** Opens the device that an experiment runs on. A software adapter is used as asked for, but not silently. */
export async function openDevice({
  device = 'cpu',
  onWarning,
}: {
  readonly device?: DeviceKind;
  readonly onWarning?: (message: string) => void;
}): Promise<Device> {
  if (device === 'cpu') return cpuDevice();
  const gpu = await webgpuDevice({ matmulPrecision: matmulPrecisionOf(device) });
  if (gpu.adapter.software) {
    onWarning?.(
      `WebGPU finds no GPU here, only a software adapter (${gpu.adapter.name}), some hundred times slower than the CPU device: --size micro shows the whole of it, --device cpu is fast.`,
    );
  }
  return gpu;
}
