export { openWebGpu, type WebGpu, type WebGpuOptions } from './open';
export { type DeviceCounters, WebGpuDevice, type WebGpuDeviceOptions } from './webgpu-device';
