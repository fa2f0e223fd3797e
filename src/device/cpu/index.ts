export { cpuDevice } from './cpu-device';
export { type Dimension, type ExternalBytes, type Name, OnnxModel } from './onnx';
