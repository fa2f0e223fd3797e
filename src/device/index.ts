export {
  type BuffersByName,
  type Device,
  type DeviceBuffer,
  type DeviceKind,
  deviceKinds,
  matmulPrecisionOf,
  type NumberArray,
  type Program,
  type RunOptions,
  type SeriesOptions,
} from './device';
