import type { LanguageModel } from 'ai';
import type { ChatMessage, ChatModel, ChatRequest, ChatResult } from 'rlpa';

type LanguageModelV4 = Extract<LanguageModel, { specificationVersion: 'v4' }>;
type CallOptions = Parameters<LanguageModelV4['doGenerate']>[0];

/** A trained policy, or any other chat model of rlpa, as a language model of the AI SDK. */
export function languageModelOf(model: ChatModel): LanguageModelV4 & { readonly supportsStructuredOutputs: boolean } {
  return {
    specificationVersion: 'v4',
    provider: 'rlpa',
    modelId: model.name,
    supportedUrls: {},
    supportsStructuredOutputs: false,
    async doGenerate(options) {
      const result = await model.generate(requestOf(options));
      return { content: [{ type: 'text', text: result.text }], ...endOf(result), warnings: [] };
    },
    async doStream(options) {
      const parts = model.stream(requestOf(options))[Symbol.asyncIterator]();
      return {
        stream: new ReadableStream({
          start(controller) {
            controller.enqueue({ type: 'stream-start', warnings: [] });
            controller.enqueue({ type: 'text-start', id: 'text' });
          },
          async pull(controller) {
            const { done, value } = await parts.next();
            if (done) return controller.close();
            if (value.type === 'text') return controller.enqueue({ type: 'text-delta', id: 'text', delta: value.text });
            controller.enqueue({ type: 'text-end', id: 'text' });
            controller.enqueue({ type: 'finish', ...endOf(value) });
          },
          async cancel() {
            await parts.return?.();
          },
        }),
      };
    },
  };
}

function requestOf({ prompt, temperature, topP, maxOutputTokens, stopSequences, seed, abortSignal }: CallOptions): ChatRequest {
  const messages = prompt.map(({ role, content }): ChatMessage => {
    if (role === 'tool') throw new Error('A policy knows no tools.');
    if (typeof content === 'string') return { role, content };
    return { role, content: content.map((part) => (part.type === 'text' ? part.text : '')).join('') };
  });
  return { messages, temperature, topP, maxTokens: maxOutputTokens, stop: stopSequences, seed, signal: abortSignal };
}

function endOf({ usage, finishReason }: ChatResult) {
  return {
    finishReason: { unified: finishReason, raw: undefined },
    usage: {
      inputTokens: { total: usage.inputTokens, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
      outputTokens: { total: usage.outputTokens, text: usage.outputTokens, reasoning: undefined },
    },
  };
}
