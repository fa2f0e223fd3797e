export type {
  AgentTurnRecord,
  EvaluationOptions,
  ExperimentOptions,
  ExperimentProgress,
  ExperimentResult,
  OpenedPolicy,
  OpenPolicy,
  RewardMode,
  RunEvaluation,
  RunExperiment,
  TinySize,
  TrainingTotals,
} from './experiment';
export { rewardModes, tinySizes } from './experiment';
export { keptRun } from './kept-run';
export { openPolicy } from './open-policy';
export { runEvaluation } from './run-evaluation';
export { holdsRun, runExperiment } from './run-experiment';
export { settingFile } from './setting-file';
