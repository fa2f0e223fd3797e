export type { Device, DeviceBuffer, NumberArray, Program, RunOptions } from './device';
