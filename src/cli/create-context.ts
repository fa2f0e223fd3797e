import type { CommandContext } from './context';

/** The context of a real run. The engine is loaded by the command that needs it, so that `--help` and wrong usage answer at once. */
export function createContext(argv: readonly string[], signal: AbortSignal): CommandContext {
  return {
    argv,
    terminal: process,
    signal,
    runExperiment: async (options) => (await import('../experiments/index')).runExperiment(options),
    runEvaluation: async (options) => (await import('../experiments/index')).runEvaluation(options),
    openPolicy: async (folder, options) => (await import('../experiments/index')).openPolicy(folder, options),
  };
}
