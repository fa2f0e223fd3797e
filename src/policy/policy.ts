import type { ChatMessage } from '../chat/index';
import type { RlpaError } from '../errors';

/** What a policy reads before it acts: one dialogue that waits for it. */
export interface PolicyState {
  /** Stable over the dialogue, so that a policy can keep what it computed for the earlier turns. */
  readonly dialogueId: string;
  /** The system instruction, then user and assistant messages in turn; the last one is the user's. */
  readonly messages: readonly ChatMessage[];
  /** Seeds the sampling of this action alone: the same state and seed give the same action, whatever else is in the batch. */
  readonly seed: number;
}

/** The token-level record of an action, kept by policies that train. */
export interface SampledTokens {
  /** Everything the policy read. Begins with the previous turn's prompt and completion when the history is kept whole. */
  readonly prompt: Int32Array;
  /** What it sampled, with the stop token if it came to one. */
  readonly completion: Int32Array;
  /** log π(token) under the sampling distribution (after the temperature), one for each completion token. */
  readonly logProbs: Float32Array;
  /** V(s) read off before each completion token. */
  readonly values: Float32Array;
  /** The version of the weights that sampled. */
  readonly version: number;
}

export interface PolicyAction {
  readonly text: string;
  /** `length`: the token limit came before a stop token. */
  readonly finishReason: 'stop' | 'length';
  readonly tokens?: SampledTokens;
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number };
}

export interface ActOptions {
  readonly signal?: AbortSignal | undefined;
  /** Of the sampling: the policy's own by default; 0 takes the most likely token everywhere. */
  readonly temperature?: number | undefined;
}

/** What acts in the environment. */
export interface Policy {
  readonly name: string;
  /** One action for each state, in order. An error in the place of one that could not be had ends that dialogue alone. */
  act(states: readonly PolicyState[], options?: ActOptions): Promise<(PolicyAction | RlpaError)[]>;
  /** Whether the state is short enough to be read and answered; absent where anything is. */
  canRead?(state: Pick<PolicyState, 'messages'>): boolean;
  /** The dialogues are over: what was kept for them can go. */
  release?(dialogueIds: readonly string[]): void;
}
