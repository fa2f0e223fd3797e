import type { PromptBuilder } from '../agent/index';
import type { ChatModel } from '../chat/index';
import type { ProfileSchema } from '../profile/index';
import type { RunEvaluation, RunExperiment } from './experiment';
import type { Terminal } from './terminal';

/** What every command works with. Tests replace any of it. */
export interface CommandContext {
  /** What the user typed after `rlpa`. */
  readonly argv: readonly string[];
  readonly terminal: Terminal;
  /** Fires at the first Ctrl-C. */
  readonly signal: AbortSignal;
  readonly runExperiment: RunExperiment;
  readonly runEvaluation: RunEvaluation;
  /** @throws RlpaError `invalid-file` or `invalid-model` for a folder that is no saved policy. */
  readonly openPolicy: (folder: string, signal: AbortSignal) => Promise<OpenedPolicy>;
}

/** A saved policy, ready to talk. */
export interface OpenedPolicy {
  readonly model: ChatModel;
  /** What it was trained to find out. */
  readonly schema: ProfileSchema;
  /** What it was trained to read; a chat model gets the agent's own prompt. */
  readonly prompt?: PromptBuilder;
  dispose(): Promise<void>;
}

/** Flags that every command has. */
export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}
