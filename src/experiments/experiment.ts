import type { PromptBuilder } from '../agent/index';
import type { ChatModel } from '../chat/index';
import type { DeviceKind } from '../device/index';
import type { EvaluationReport } from '../evaluation/index';
import type { ProfileSchema } from '../profile/index';

/** Which rewards train: R_profile, R_response, or their sum. */
export type RewardMode = 'profile' | 'response' | 'both';
export const rewardModes = ['profile', 'response', 'both'] as const satisfies readonly RewardMode[];

/** Sizes of the policy that starts from nothing, each with a recipe of its own: `micro` shows that all works, on whatever computes. */
export const tinySizes = ['tiny', 'micro'] as const;
export type TinySize = (typeof tinySizes)[number];

export interface ExperimentProgress {
  readonly phase: 'demonstrations' | 'warm-start' | 'evaluate-before' | 'ppo' | 'evaluate-after' | 'chat' | 'evaluate';
  readonly done: number;
  readonly total: number;
  /** What is counted: 'iterations', 'dialogues', … */
  readonly unit: string;
  readonly metrics?: Readonly<Record<string, number>>;
}

/** What is left out is the recipe's. */
export interface ExperimentOptions {
  readonly people: 'generated' | { readonly csv: string };
  readonly seed: number;
  readonly reward: RewardMode;
  readonly users?: number;
  readonly evalUsers?: number;
  readonly turns?: number;
  readonly iterations?: number;
  readonly dialoguesPerIteration?: number;
  readonly learningRate?: number;
  readonly kl?: number;
  readonly policyFolder?: string;
  readonly loraRank?: number;
  /** Of the policy that starts from nothing; that of the run that is resumed, else `tiny`. */
  readonly size?: TinySize;
  /** Where policies run; default `cpu`. A run may go on on another. */
  readonly device?: DeviceKind;
  readonly userModel?: ChatModel;
  readonly judgeModel?: ChatModel;
  readonly outDir?: string;
  readonly resume?: boolean;
  readonly checkpointEvery?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: ExperimentProgress) => void;
  /** What a run says besides its progress: a masked turn, a skipped iteration. */
  readonly onWarning?: (message: string) => void;
  readonly onCheckpoint?: (checkpoint: { readonly iteration: number; readonly location: string }) => void;
}

export interface AgentTurnRecord {
  readonly message: string;
  readonly reply: string;
  /** Slot to value or values, after the turn. */
  readonly profile: Readonly<Record<string, unknown>>;
}

/** What PPO's iterations came to, those of the run's earlier parts included. The counts are those of `PPOMetrics`. */
export interface TrainingTotals {
  readonly iterations: number;
  readonly episodes: number;
  readonly failedEpisodes: number;
  readonly tooLongEpisodes: number;
  readonly turns: number;
  readonly unjudgedTurns: number;
  readonly skippedIterations: number;
}

export interface ExperimentResult {
  readonly before: EvaluationReport;
  readonly after: EvaluationReport;
  readonly training: TrainingTotals;
  /** Where the trained policy is kept, if it is. */
  readonly trainedPolicyFolder?: string;
  readonly agentTurns?: readonly AgentTurnRecord[];
}

export type RunExperiment = (options: ExperimentOptions) => Promise<ExperimentResult>;

/** The same held-out users and measurements as an experiment's, for one policy. */
export interface EvaluationOptions {
  readonly people: 'generated' | { readonly csv: string };
  readonly seed: number;
  readonly evalUsers?: number;
  readonly turns?: number;
  /** Who is evaluated: a saved policy or any chat model. */
  readonly subject: { readonly policyFolder: string } | { readonly chatModel: ChatModel };
  readonly userModel?: ChatModel;
  readonly judgeModel?: ChatModel;
  readonly device?: DeviceKind;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: ExperimentProgress) => void;
  readonly onWarning?: (message: string) => void;
}

export type RunEvaluation = (options: EvaluationOptions) => Promise<EvaluationReport>;

export type OpenPolicy = (
  folder: string,
  options?: { readonly device?: DeviceKind; readonly onWarning?: (message: string) => void; readonly signal?: AbortSignal },
) => Promise<OpenedPolicy>;

/** A saved policy, ready to talk. */
export interface OpenedPolicy {
  readonly model: ChatModel;
  /** What it was trained to find out. */
  readonly schema: ProfileSchema;
  /** What it was trained to read; a chat model gets the agent's own prompt. */
  readonly prompt?: PromptBuilder;
  dispose(): Promise<void>;
}
