export { type Device, type DeviceBuffer, type DeviceKind, deviceKinds, type NumberArray, type Program, type RunOptions } from './device';
