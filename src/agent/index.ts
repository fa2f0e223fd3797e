export type { AgentProblem } from './answer';
export { unframed, unframedAnswer } from './fence';
export { PersonalizedAgent, type PersonalizedAgentOptions } from './personalized-agent';
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
export type { AgentEvents, TurnPart, TurnRequest, TurnResult } from './turn';
export type { Contradiction, Evidence, Provenance, RecordedChange, StoredItem, StoredTurn, UserRecord } from './user-record';
