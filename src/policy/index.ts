export { type Batch, type BatchLayout, planBatches } from './batch';
export { type ChatPolicyOptions, chatPolicy } from './chat-policy';
export type { LocalChatModelOptions } from './local-chat-model';
export { LocalPolicy } from './local-policy';
export type {
  CreateOptions,
  LoadOptions,
  LocalModel,
  LocalPolicyOptions,
  OnnxExportOptions,
  SamplingOptions,
  SaveOptions,
  Weights,
} from './local-policy-options';
export { crossEntropyLoss, ppoLoss, reportPPOLoss } from './losses';
export { givenDevice, openedDevice } from './opened-device';
export type { ActOptions, Policy, PolicyAction, PolicyState, SampledTokens } from './policy';
export type { PolicyHost, PolicyToStore, StoredPolicy } from './policy-host';
export type { SamplingCounters } from './running-batch';
export type {
  CrossEntropyReport,
  OptimizerStep,
  PolicyTrainingState,
  PPOLossOptions,
  PPOLossReport,
  PPOSequence,
  ScoredSequence,
  TrainablePolicy,
  TrainingSequence,
} from './trainable-policy';
