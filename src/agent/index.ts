export { afterReplyOf } from './after-reply';
export { checkStore, type PersonalizedAgentOptions } from './agent-options';
export type { AgentProblem } from './answer';
export { unframed, unframedAnswer } from './fence';
export type { Migration, SlotValue } from './migration';
export type { OutsideModel } from './model-calls';
export { PersonalizedAgent } from './personalized-agent';
export { memoryStore, type ProfileStore } from './profile-store';
export {
  type AnswerForm,
  fencedPrompt,
  fenceProfile,
  type PromptBuilder,
  type PromptContext,
  type TranscriptPromptOptions,
  transcriptPrompt,
} from './prompt';
export type { PromptBudget } from './prompt-budget';
export { ThoughtFilter } from './thoughts';
export type { AgentEvents, InferenceResult, ProfileOutcome, TurnPart, TurnRequest, TurnResult, TurnUsage, WaitOptions } from './turn';
export type { TokenPrices } from './turn-meter';
export type { Contradiction, Evidence, Provenance, RecordedChange, StoredItem, StoredTurn, UserRecord } from './user-record';
