export type { MatrixUnit } from './matrix-matmul';
export { openWebGpu, type WebGpu, type WebGpuOptions } from './open';
export type { Arithmetic, TileChoice, Tuning } from './tiles';
export { type DeviceCounters, type DispatchTime, type GpuDevice, WebGpuDevice, type WebGpuDeviceOptions } from './webgpu-device';
