export {
  type BuffersByName,
  type Device,
  type DeviceBuffer,
  type DeviceKind,
  deviceKinds,
  type MatmulPrecision,
  matmulPrecisionOf,
  type NumberArray,
  type Program,
  type RunOptions,
  type SeriesOptions,
} from './device';
