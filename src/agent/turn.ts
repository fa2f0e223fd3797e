import type { ChatResult, ChatUsage } from '../chat/index';
import type { Profile, RejectedValue, SlotMap } from '../profile/index';
import type { AgentProblem } from './answer';
import type { Consent } from './consent';
import type { Contradiction, RecordedChange } from './user-record';

/** Limits of a call that waits. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default one minute; `Infinity` for no deadline. */
  readonly timeoutMs?: number | undefined;
}

export interface TurnRequest extends WaitOptions {
  /** Whose profile it is: any text that is not empty. */
  readonly userId: string;
  /** What the user wrote. */
  readonly message: string;
  /**
   * The conversation that the message belongs to: the model is shown the turns of this session, and what is known about the user from all
   * of them. Without one, the turns that have none.
   */
  readonly sessionId?: string | undefined;
  /** Sensitive slots that may be filled and read in this turn, and told of in its result: those of these names, or all. Default none. */
  readonly consent?: Consent | undefined;
  /** Ends the turn until its result is there; not what runs after the reply. */
  readonly signal?: AbortSignal | undefined;
  /** Deadline for reading the profile and for the model's answer; default one minute. What runs after the reply has as long again. */
  readonly timeoutMs?: number | undefined;
}

/** What calls of the model cost. */
export interface TurnUsage {
  /** Of all calls together: a second one repairs a malformed answer. */
  readonly usage: ChatUsage;
  /** In the currency of the agent's `prices`; absent without them. */
  readonly cost?: number;
  /** From the beginning until the result. */
  readonly latencyMs: number;
}

/** What a turn, or the inference after its reply, came to know. */
export interface ProfileOutcome<S extends SlotMap = SlotMap> {
  /** The id of the user's message, which evidence points to. */
  readonly messageId: string;
  /** After the turn, without the sensitive slots for which it has no consent; `PersonalizedAgent.profile` gives all of it. */
  readonly profile: Profile<S>;
  readonly changes: readonly RecordedChange<S>[];
  /**
   * What was refused: what the model proposed and the schema, or the lack of consent, did not let in; and values from an earlier version of
   * the schema that it does not take any more, which are kept in the history. Of sensitive slots without consent it tells no value.
   */
  readonly rejected: readonly RejectedValue[];
  readonly problem?: AgentProblem;
  /** What was wrong with the first answer, where a second call put it right. */
  readonly repaired?: AgentProblem;
}

export interface TurnResult<S extends SlotMap = SlotMap> extends ProfileOutcome<S>, TurnUsage {
  readonly sessionId?: string;
  /** Empty only if the model wrote nothing that could be shown; there is a `problem` then. */
  readonly reply: string;
  /** Why the model ended the reply: `length` where it was cut off. */
  readonly finishReason: ChatResult['finishReason'];
  /** From the beginning until the first text of the reply could be shown; absent if there is no reply. */
  readonly firstTextMs?: number;
}

/** What was inferred after a reply (`mode: 'after-reply'`). */
export interface InferenceResult<S extends SlotMap = SlotMap> extends ProfileOutcome<S>, TurnUsage {
  readonly userId: string;
  readonly sessionId?: string;
}

export type TurnPart<S extends SlotMap = SlotMap> =
  | { readonly type: 'reply'; readonly text: string }
  | { readonly type: 'profile'; readonly profile: Profile<S>; readonly changes: readonly RecordedChange<S>[] }
  | ({ readonly type: 'finish' } & TurnResult<S>);

export interface AgentEvents<S extends SlotMap = SlotMap> {
  /** A user's profile changed, by a turn or by an edit. */
  change: (event: { userId: string; profile: Profile<S>; changes: readonly RecordedChange<S>[] }) => void;
  /** A slot's value gave way to another; the old one stays in the history. */
  contradiction: (event: { userId: string } & Contradiction<S>) => void;
  /** Values were not let into the profile, or are not taken any more. */
  rejected: (event: { userId: string; rejected: readonly RejectedValue[] }) => void;
  problem: (event: { userId: string; problem: AgentProblem }) => void;
  /** The inference after a reply has ended, well or with a `problem`. */
  inferred: (event: InferenceResult<S>) => void;
}
