import type { ChatUsage } from '../chat/index';
import type { Profile, RejectedValue, SlotMap } from '../profile/index';
import type { AgentProblem } from './answer';
import type { Contradiction, RecordedChange } from './user-record';

export interface TurnRequest {
  readonly userId: string;
  readonly message: string;
  /** Sensitive slots that may be filled in this turn: these, or all of them. */
  readonly consent?: readonly string[] | true;
  readonly signal?: AbortSignal;
  /** Deadline for reading the profile and for the model's answer; default one minute. */
  readonly timeoutMs?: number;
}

export interface TurnResult<S extends SlotMap = SlotMap> {
  /** The id of the user's message, which evidence points to. */
  readonly messageId: string;
  /** Empty only if the model wrote nothing that could be shown; there is a `problem` then. */
  readonly reply: string;
  /** After the turn. */
  readonly profile: Profile<S>;
  readonly changes: readonly RecordedChange[];
  /** What the model proposed and the schema, or the lack of consent, refused. */
  readonly rejected: readonly RejectedValue[];
  readonly problem?: AgentProblem;
  readonly usage: ChatUsage;
  readonly latencyMs: number;
}

export type TurnPart<S extends SlotMap = SlotMap> =
  | { readonly type: 'reply'; readonly text: string }
  | { readonly type: 'profile'; readonly profile: Profile<S>; readonly changes: readonly RecordedChange[] }
  | ({ readonly type: 'finish' } & TurnResult<S>);

export interface AgentEvents {
  /** A user's profile changed, by a turn or by an edit. */
  change: (event: { userId: string; profile: Profile; changes: readonly RecordedChange[] }) => void;
  /** A slot's value gave way to another; the old one stays in the history. */
  contradiction: (event: { userId: string; slot: string } & Contradiction) => void;
  rejected: (event: { userId: string; rejected: readonly RejectedValue[] }) => void;
  problem: (event: { userId: string; problem: AgentProblem }) => void;
}
