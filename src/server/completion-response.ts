import type { TurnPart, TurnResult } from '../agent/index';
import type { CompletionTurn } from './completion-turn';

/** What all parts of one answer have in common. */
export interface CompletionHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** The extension field of an answer: what is known about the user, and what the turn changed. */
export interface RlpaField {
  /** The id of the user's message, which evidence points to. */
  readonly messageId: string;
  /** Slot to value or values, after the turn. Without the sensitive slots for which the request has no consent. */
  readonly profile: Readonly<Record<string, unknown>>;
  readonly changes: TurnResult['changes'];
  /** What the model proposed and was not taken: without the value where consent is lacking. */
  readonly rejected: TurnResult['rejected'];
  /** What was wrong with the model's answer, or with storing it. */
  readonly problem?: TurnResult['problem'];
  /** Whether the profile is kept: the request named a user, and nothing prevented it. */
  readonly stored: boolean;
}

function rlpaField({ messageId, profile, changes, rejected, problem }: TurnResult, { isStored }: CompletionTurn): RlpaField {
  const stored = isStored && problem?.code !== 'not-stored';
  return { messageId, profile: profile.toJSON() as Record<string, unknown>, changes, rejected, ...(problem && { problem }), stored };
}

export function usageOf({ usage: { inputTokens, outputTokens, cachedInputTokens } }: TurnResult) {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    ...(cachedInputTokens !== undefined && { prompt_tokens_details: { cached_tokens: cachedInputTokens } }),
  };
}

/** Why the reply ended, in the protocol's words. */
function finishReasonOf({ finishReason }: TurnResult): 'stop' | 'length' | 'content_filter' {
  if (finishReason === 'content-filter') return 'content_filter';
  return finishReason === 'length' ? 'length' : 'stop';
}

/** A whole answer, as `chat.completion`. */
export function completion({ id, created, model }: CompletionHead, turn: CompletionTurn, result: TurnResult) {
  const message = { role: 'assistant', content: result.reply, refusal: null, rlpa: rlpaField(result, turn) };
  const choices = [{ index: 0, message, logprobs: null, finish_reason: finishReasonOf(result) }];
  return { id, object: 'chat.completion', created, model, choices, usage: usageOf(result) };
}

/**
 * An answer in parts, as `chat.completion.chunk`. The last delta carries the extension field, so that clients which put deltas together
 * have it on the message, as in a whole answer.
 */
export async function* completionChunks(
  { id, created, model }: CompletionHead,
  turn: CompletionTurn,
  parts: AsyncIterable<TurnPart>,
  { includeUsage, onFinish }: { readonly includeUsage: boolean; readonly onFinish: (result: TurnResult) => void },
): AsyncGenerator<object> {
  const frame = { id, object: 'chat.completion.chunk', created, model };
  const chunk = (delta: object, finish_reason: string | null = null) => ({
    ...frame,
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    ...(includeUsage && { usage: null }),
  });
  yield chunk({ role: 'assistant', content: '' });
  for await (const part of parts) {
    if (part.type === 'reply') yield chunk({ content: part.text });
    if (part.type === 'finish') {
      onFinish(part);
      yield chunk({ rlpa: rlpaField(part, turn) }, finishReasonOf(part));
      if (includeUsage) yield { ...frame, choices: [], usage: usageOf(part) };
    }
  }
}
