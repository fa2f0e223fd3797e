export { type Architecture, type ModelConfig, parameterShapes, parseModelConfig, toHuggingFaceConfig } from './config';
export {
  assertFinite,
  decodeSafetensors,
  encodeSafetensors,
  planSafetensors,
  readSafetensorsHeader,
  readSafetensorsHeaderLength,
  type SafetensorsDtype,
  type SafetensorsEntry,
  type SafetensorsHeader,
  type SafetensorsLayout,
  type StoredTensor,
  safetensorsPrefixBytes,
  type TensorToStore,
  toFloat32Array,
  toInt32Array,
  toStoredTensor,
} from './safetensors';
