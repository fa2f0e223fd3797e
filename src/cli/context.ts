import type { OpenPolicy, RunEvaluation, RunExperiment } from '../experiments/index';
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
  readonly openPolicy: OpenPolicy;
}

/** Flags that every command has. */
export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}
