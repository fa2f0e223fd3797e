import { checkKnown, invalidOption, throwIfAborted } from '../errors';
import { AiSdkFailures } from './ai-sdk-failures';
import {
  type AiSdkCallOptions,
  type AiSdkLanguageModel,
  type AiSdkStream,
  type AiSdkStreamPart,
  aiSdkFinishReason,
  aiSdkMessage,
  aiSdkText,
  aiSdkUsage,
} from './ai-sdk-model';
import type { ChatModel, ChatPart, ChatRequest, ChatResult } from './chat-model';
import { type ChatLimits, type ChatStats, chatLimits, type LimitedChatModel, limitedFor } from './limits';
import { strictSchema } from './strict-schema';
import { estimateUsage } from './usage';

export interface AiSdkChatOptions extends ChatLimits {
  /** How often a call is repeated whose error says that it may be, with jittered exponential waits; default 2. */
  readonly maxRetries?: number | undefined;
  /** Whether the model takes a JSON Schema as its response format; default true, unless the model's `supportsStructuredOutputs` is false. */
  readonly structuredOutput?: boolean | undefined;
}

export interface AiSdkChatStats extends ChatStats {
  /** Calls of the SDK's model, those that were repeated included. */
  readonly requests: number;
  readonly retries: number;
}

export interface AiSdkChatModel extends LimitedChatModel {
  readonly stats: AiSdkChatStats;
}

/**
 * A language model of the Vercel AI SDK as a `ChatModel`: any provider's, of interface version V2, V3 or V4 (AI SDK 5, 6 and 7). The SDK is not
 * imported; a model fits by its shape. Where a provider reports no usage, tokens are estimated at four characters each.
 *
 * @throws `invalid-option` for what is no such model, and for limits that are out of range.
 * @example
 * import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
 * import { aiSdkChat, PersonalizedAgent, ProfileSchema } from 'rlpa';
 * const ollama = createOpenAICompatible({ name: 'ollama', baseURL: 'http://localhost:11434/v1' });
 * const model = aiSdkChat(ollama('qwen2.5:3b'), { concurrency: 4 });
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model });
 */
export function aiSdkChat(model: AiSdkLanguageModel, options: AiSdkChatOptions = {}): AiSdkChatModel {
  checkModel(model);
  checkKnown('aiSdkChat', options, { maxRetries: true, structuredOutput: true, ...chatLimits });
  const { maxRetries = 2 } = options;
  if (!Number.isInteger(maxRetries) || maxRetries < 0)
    throw invalidOption('aiSdkChat', 'maxRetries', 'a whole number of at least 0', maxRetries);
  const { supportsStructuredOutputs } = model as { readonly supportsStructuredOutputs?: boolean };
  const structuredOutput = options.structuredOutput ?? supportsStructuredOutputs !== false;
  const traffic = { requests: 0, retries: 0 };
  const failures = new AiSdkFailures(model.modelId, maxRetries, (attempt) => {
    traffic.requests++;
    if (attempt > 0) traffic.retries++;
  });
  const calls = new ModelCalls(model, structuredOutput, failures);
  const limited = limitedFor(
    'aiSdkChat',
    { name: model.modelId, structuredOutput, generate: (r) => calls.generate(r), stream: (r) => calls.stream(r) },
    options,
  );
  return {
    ...limited,
    get stats() {
      return { ...limited.stats, ...traffic };
    },
  };
}

/** The interface alone, without limits. Requests come with a signal and a deadline. */
class ModelCalls implements Pick<ChatModel, 'generate' | 'stream'> {
  readonly #model: AiSdkLanguageModel;
  readonly #structuredOutput: boolean;
  readonly #failures: AiSdkFailures;

  constructor(model: AiSdkLanguageModel, structuredOutput: boolean, failures: AiSdkFailures) {
    this.#model = model;
    this.#structuredOutput = structuredOutput;
    this.#failures = failures;
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    const generation = await this.#failures.repeat(request, () => this.#model.doGenerate(this.#callOptions(request)));
    if (!Array.isArray(generation?.content)) throw this.#failures.unusable('the answer has no content.');
    const text = aiSdkText(generation.content);
    return {
      text,
      usage: aiSdkUsage(generation.usage) ?? estimateUsage(request, text),
      finishReason: aiSdkFinishReason(generation.finishReason),
    };
  }

  async *stream(request: ChatRequest): AsyncIterable<ChatPart> {
    const answer = await this.#failures.repeat(request, () => this.#model.doStream(this.#callOptions(request)));
    let text = '';
    let finish: AiSdkStreamPart | undefined;
    for await (const part of this.#parts(answer, request)) {
      if (part.type === 'error') throw this.#failures.read(part.error, request);
      if (part.type === 'finish') finish = part;
      if (part.type !== 'text-delta' || !part.delta) continue;
      text += part.delta;
      yield { type: 'text', text: part.delta };
    }
    if (finish === undefined) throw this.#failures.unusable(`the stream was cut off after ${text.length} characters.`);
    const usage = aiSdkUsage(finish.usage) ?? estimateUsage(request, text);
    yield { type: 'finish', text, usage, finishReason: aiSdkFinishReason(finish.finishReason) };
  }

  /** What is left of a stream that is left early, or whose signal fires, is cancelled. */
  async *#parts({ stream }: AiSdkStream, request: ChatRequest): AsyncIterable<AiSdkStreamPart> {
    const { signal } = request;
    const reader = stream.getReader();
    const cancel = () => void reader.cancel().catch(() => {});
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      for (;;) {
        throwIfAborted(signal);
        const next = await reader.read().catch((error: unknown) => {
          throw this.#failures.read(error, request);
        });
        if (next.done) return;
        yield next.value;
      }
    } finally {
      signal?.removeEventListener('abort', cancel);
      cancel();
    }
  }

  #callOptions({ messages, temperature, topP, maxTokens, stop, seed, jsonSchema, signal }: ChatRequest): AiSdkCallOptions {
    const structured = jsonSchema !== undefined && this.#structuredOutput;
    return {
      prompt: messages.map(aiSdkMessage),
      ...(temperature !== undefined && { temperature }),
      ...(topP !== undefined && { topP }),
      ...(maxTokens !== undefined && { maxOutputTokens: maxTokens }),
      ...(stop !== undefined && stop.length > 0 && { stopSequences: [...stop] }),
      ...(seed !== undefined && { seed }),
      ...(structured && formatOf(this.#model, jsonSchema)),
      ...(signal && { abortSignal: signal }),
    };
  }
}

/**
 * The providers of OpenAI and Azure send `strict` by themselves from AI SDK 6 on, with any schema, and the servers refuse those that have no
 * strict form. All others keep to the schema as it is.
 */
function formatOf({ provider }: AiSdkLanguageModel, { name, schema }: NonNullable<ChatRequest['jsonSchema']>): Partial<AiSdkCallOptions> {
  if (!/^(?:openai|azure(?:-openai)?)\./.test(provider)) return { responseFormat: { type: 'json', name, schema } };
  const strict = strictSchema(schema);
  if (strict) return { responseFormat: { type: 'json', name, schema: strict } };
  const options = { strictJsonSchema: false };
  return { responseFormat: { type: 'json', name, schema }, providerOptions: { openai: options, azure: options } };
}

function checkModel(model: AiSdkLanguageModel): void {
  if (typeof model?.doGenerate !== 'function' || typeof model.doStream !== 'function')
    throw invalidOption('aiSdkChat', 'model', 'a language model of the AI SDK', model);
  if (!['v2', 'v3', 'v4'].includes(model.specificationVersion))
    throw invalidOption('aiSdkChat', 'model.specificationVersion', "'v2', 'v3' or 'v4'", model.specificationVersion);
}
