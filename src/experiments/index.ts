export type {
  AgentTurnRecord,
  EvaluationOptions,
  ExperimentOptions,
  ExperimentProgress,
  ExperimentResult,
  OpenedPolicy,
  RewardMode,
  RunEvaluation,
  RunExperiment,
  TrainingTotals,
} from './experiment';
export { rewardModes } from './experiment';
export { openPolicy } from './open-policy';
export { runEvaluation } from './run-evaluation';
export { runExperiment } from './run-experiment';
