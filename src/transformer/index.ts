export { fromPeftName, parseAdapterConfig, toPeftConfig, toPeftName } from './adapter-config';
export { chatML } from './chat-ml';
export { ChatTemplate, encodeChat, endOfTurn, type RenderOptions } from './chat-template';
export {
  checkShapes,
  checkTokenizerFits,
  isRedundantTensor,
  isShardName,
  type ModelFolder,
  modelFiles,
  parseShardIndex,
  planShards,
  type ShardPlan,
  type TensorSource,
} from './checkpoint-folder';
export { type Architecture, type ModelConfig, parameterShapes, parseModelConfig, toHuggingFaceConfig } from './config';
export { type DecoderInputs, decoder, headWeight, initialWeights } from './decoder';
export {
  initialLora,
  type LoraConfig,
  loraConfig,
  loraShapes,
  mergeLora,
  type Projection,
  projectionPrefix,
  projectionShape,
  projections,
} from './lora';
export {
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
  toStoredTensor,
} from './safetensors';
export { assertFinite, toFloat32Array, toInt32Array } from './tensor-values';
export { type DecodeOptions, type EncodeOptions, Tokenizer, TokenStream } from './tokenizer';
export { type TokenizerFiles, type TrainTokenizerOptions, trainTokenizer } from './tokenizer-training';
export { valueHead, valueHeadShapes } from './value-head';
