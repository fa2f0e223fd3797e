import { type ErrorCode, RlpaError } from '../errors';

/** One message of a chat, in the roles that every chat API shares. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
  /**
   * The token ids that were sampled for this assistant message. A policy feeds these back verbatim, so that what it is trained on
   * is what it sampled; other models ignore them.
   */
  readonly tokens?: readonly number[];
}

export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  /** 0 for the most likely token everywhere; default the model's own. */
  readonly temperature?: number | undefined;
  /** Sample from the most likely tokens that together have this probability, in (0, 1]; default the model's own. */
  readonly topP?: number | undefined;
  /** Most tokens to generate. */
  readonly maxTokens?: number | undefined;
  /** The text ends before the first of these. */
  readonly stop?: readonly string[] | undefined;
  /** For the same answer again, where the model can. */
  readonly seed?: number | undefined;
  /** Ask for JSON by a JSON Schema; only models whose `structuredOutput` is true honour it. */
  readonly jsonSchema?: { readonly name: string; readonly schema: Readonly<Record<string, unknown>> } | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Deadline for the whole call, in milliseconds, retries included. */
  readonly timeoutMs?: number | undefined;
}

export interface ChatUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of the input tokens, those that were read before and not computed again, where the model says so. */
  readonly cachedInputTokens?: number;
}

export interface ChatResult {
  readonly text: string;
  readonly usage: ChatUsage;
  readonly finishReason: 'stop' | 'length' | 'content-filter' | 'other';
}

/** The last part holds the whole answer. A model that cannot stream may give that one alone. */
export type ChatPart = { readonly type: 'text'; readonly text: string } | ({ readonly type: 'finish' } & ChatResult);

/**
 * A language model. `generate` and `stream` throw an `RlpaError` with code `model-failed`, `model-rate-limited`,
 * `model-unreachable`, `budget-exceeded`, `timeout` or `aborted`, and nothing else; a model that loads files or packages first also
 * `invalid-model` or `missing-dependency`.
 */
export interface ChatModel {
  readonly name: string;
  readonly structuredOutput: boolean;
  generate(request: ChatRequest): Promise<ChatResult>;
  stream(request: ChatRequest): AsyncIterable<ChatPart>;
}

/** What a model threw, as an error of the library: a model that an application has written itself may throw anything. */
export function modelError(error: unknown, model: string): RlpaError {
  if (RlpaError.isInstance(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RlpaError('model-failed', `Model "${model}" failed: ${reason}`, { model }, { cause: error });
}

const failures: readonly ErrorCode[] = ['model-failed', 'model-rate-limited', 'model-unreachable', 'budget-exceeded', 'timeout'];

/** Whether an error says that this answer of a model could not be had, rather than that something is wrong with the set-up. */
export function isModelFailure(error: unknown): error is RlpaError {
  return RlpaError.isInstance(error) && failures.includes(error.code);
}
