import type { ChatMessage, ChatResult, ChatUsage } from './chat-model';

/*
 * The Vercel AI SDK's interface of a language model, as far as it is used here: what the versions V2 (AI SDK 5), V3 (6) and V4 (7) have in
 * common, and where they differ, all of them. Nothing of the SDK is imported: models fit by their shape.
 */

/** A language model of the Vercel AI SDK, such as `openai('gpt-4o-mini')` or `createOpenAICompatible({ … })('qwen2.5')`. */
export interface AiSdkLanguageModel {
  readonly specificationVersion: 'v2' | 'v3' | 'v4';
  readonly provider: string;
  readonly modelId: string;
  doGenerate(options: AiSdkCallOptions): PromiseLike<AiSdkGeneration>;
  doStream(options: AiSdkCallOptions): PromiseLike<AiSdkStream>;
}

export interface AiSdkCallOptions {
  readonly prompt: readonly AiSdkMessage[];
  readonly maxOutputTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly stopSequences?: string[] | undefined;
  readonly seed?: number | undefined;
  readonly responseFormat?:
    | { readonly type: 'text' }
    | { readonly type: 'json'; readonly schema?: object; readonly name?: string }
    | undefined;
  /** By the provider's name. */
  readonly providerOptions?: Readonly<Record<string, object>> | undefined;
  readonly abortSignal?: AbortSignal | undefined;
}

export interface AiSdkMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  /** Text for `system`, parts for all others. */
  readonly content: string | readonly AiSdkContent[];
}

/** Text, a file, reasoning, a call of a tool …; only text is read. */
export interface AiSdkContent {
  readonly type: string;
  readonly text?: string;
}

export interface AiSdkGeneration {
  readonly content: readonly AiSdkContent[];
  readonly finishReason: AiSdkFinishReason;
  readonly usage: AiSdkUsage;
}

export interface AiSdkStream {
  readonly stream: ReadableStream<AiSdkStreamPart>;
}

/** Text comes as `text-start`, any number of `text-delta`, `text-end`; the last part is `finish`. */
export interface AiSdkStreamPart {
  readonly type: string;
  readonly id?: string;
  readonly delta?: string;
  readonly finishReason?: AiSdkFinishReason;
  readonly usage?: AiSdkUsage;
  readonly error?: unknown;
}

/** A word in V2, an object from V3 on. */
export type AiSdkFinishReason = string | { readonly unified: string };

/** Numbers in V2, objects from V3 on. */
export interface AiSdkUsage {
  readonly inputTokens: number | { readonly total: number | undefined; readonly cacheRead?: number | undefined } | undefined;
  readonly cachedInputTokens?: number | undefined;
  readonly outputTokens: number | { readonly total: number | undefined } | undefined;
}

export function aiSdkMessage({ role, content }: ChatMessage): AiSdkMessage {
  return role === 'system' ? { role, content } : { role, content: [{ type: 'text', text: content }] };
}

/** The text among the contents of a message or of an answer. */
export function aiSdkText(content: AiSdkMessage['content']): string {
  if (typeof content === 'string') return content;
  return content.map(({ type, text }) => (type === 'text' ? (text ?? '') : '')).join('');
}

/** Tokens by either form of the report; undefined where there is none. */
export function aiSdkUsage(usage: AiSdkUsage | undefined): ChatUsage | undefined {
  const inputTokens = readCount(usage?.inputTokens);
  const outputTokens = readCount(usage?.outputTokens);
  if (inputTokens === undefined || outputTokens === undefined) return undefined;
  const cachedInputTokens = typeof usage?.inputTokens === 'object' ? usage.inputTokens.cacheRead : usage?.cachedInputTokens;
  return { inputTokens, outputTokens, ...(Number.isFinite(cachedInputTokens) && { cachedInputTokens }) };
}

function readCount(count: AiSdkUsage['inputTokens'] | null): number | undefined {
  const tokens = typeof count === 'object' ? count?.total : count;
  return Number.isFinite(tokens) ? tokens : undefined;
}

export function aiSdkFinishReason(reason: AiSdkFinishReason | undefined): ChatResult['finishReason'] {
  const word = typeof reason === 'object' ? reason?.unified : reason;
  return word === 'stop' || word === 'length' || word === 'content-filter' ? word : 'other';
}
