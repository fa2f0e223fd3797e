export { type Batch, type BatchLayout, planBatches } from './batch';
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
