export {
  type AdvantageOptions,
  type AdvantageTurn,
  type Credit,
  dialogueAdvantages,
  RewardScale,
  type RewardScaleState,
  type TurnAdvantages,
  whiten,
} from './advantage';
export type { Checkpoint, CheckpointStore, MetricsLog } from './checkpoint';
export { type DialogueLayout, layOutDialogue, type SampledTurn } from './dialogue-layout';
export { type Experience, type ExperienceOptions, type ExperienceReport, gatherExperience } from './experience';
export type { OptimizerOptions } from './optimizer';
export type { PPOTrainerEvents, TrainingWarning, TrainingWarningCode } from './ppo-events';
export { measureRollouts, type PPOMetrics, type RolloutMetrics, timingMetrics } from './ppo-metrics';
export { type PPOHyperparameters, paperDefaults, ppoDefaults } from './ppo-options';
export { PPOTrainer } from './ppo-trainer';
export type { PPOTrainerOptions, TrainOptions } from './ppo-trainer-options';
export { type UpdatePlan, type UpdateReport, updateWithPPO } from './ppo-update';
export { drawPersonas, type RolloutEnvironment, type RolloutRequest } from './rollout';
export { type AdaptiveKlOptions, nextKlCoefficient, type ScheduleShape, scheduleFactor } from './schedule';
export { type HistoryForm, joinTurns, type TokenTurn, type TurnSpan } from './sequences';
export {
  exampleSequences,
  type SFTExample,
  type SFTHyperparameters,
  type SFTMetrics,
  SFTTrainer,
  type SFTTrainerEvents,
  type SFTTrainerOptions,
  type SFTTrainOptions,
  sftDefaults,
} from './sft-trainer';
