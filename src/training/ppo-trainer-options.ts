import type { Optional } from '../optional';
import type { TrainablePolicy } from '../policy/index';
import type { Persona } from '../simulation/index';
import type { CheckpointStore, MetricsLog } from './checkpoint';
import {
  abortSignal,
  aFunction,
  checkpointStore,
  listOf,
  metricsLog,
  type OptionRule,
  optional,
  rule,
  trainablePolicy,
  withMethods,
} from './options';
import { type PPOHyperparameters, ppoRules } from './ppo-options';
import type { RolloutEnvironment } from './rollout';

export interface PPOTrainerOptions extends Optional<PPOHyperparameters> {
  readonly policy: TrainablePolicy;
  readonly environment: RolloutEnvironment;
  /** The users to train with. */
  readonly personas: readonly Persona[];
  /** Where checkpoints go; without it the run cannot be resumed. `fileCheckpoints(directory)` of `rlpa/node` keeps them in files. */
  readonly checkpoints?: CheckpointStore | undefined;
  /** Where the metrics of every iteration go besides the event. `fileMetrics(path)` of `rlpa/node` writes JSONL. */
  readonly metricsLog?: MetricsLog | undefined;
  /** Milliseconds, for the timing metrics only. */
  readonly now?: (() => number) | undefined;
}

export interface TrainOptions {
  /** Length of the whole run, what a checkpoint already has included. The schedules refer to it. */
  readonly iterations: number;
  /** Go on from the latest checkpoint of the store, if there is one. */
  readonly resume?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const trainerRules: Record<keyof PPOTrainerOptions, OptionRule> = {
  ...ppoRules,
  policy: trainablePolicy,
  environment: withMethods('an environment', 'rollout'),
  personas: listOf('persona'),
  checkpoints: optional(checkpointStore),
  metricsLog: optional(metricsLog),
  now: optional(aFunction),
};

/** The same where the coefficient adapts. */
export const adaptiveRules: typeof trainerRules = {
  ...trainerRules,
  klCoefficient: { ...rule.positive, expected: `${rule.positive.expected}, which klTarget multiplies` },
};

export const trainRules: Record<keyof TrainOptions, OptionRule> = {
  iterations: rule.count,
  resume: optional(rule.boolean),
  signal: optional(abortSignal),
};
