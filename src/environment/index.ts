export { DialogueEnvironment, type DialogueEnvironmentOptions, type DialogueState, type StepResult } from './dialogue-environment';
export { type AlternativeAction, type Episode, type EpisodeTurn, outputsOf } from './episode';
export { parseEpisode, serializeEpisode } from './episode-json';
export type { RolloutOptions } from './rollout';
export type { History } from './transcript';
