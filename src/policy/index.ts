export { type Batch, type BatchLayout, planBatches } from './batch';
export { type LocalModel, LocalPolicy, type LocalPolicyOptions } from './local-policy';
export { crossEntropyLoss, ppoLoss, reportPPOLoss } from './losses';
export type { ActOptions, Policy, PolicyAction, PolicyState, SampledTokens } from './policy';
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
