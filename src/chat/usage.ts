import type { ChatMessage, ChatUsage } from './chat-model';

/** Of two calls together. */
export function addUsage(one: ChatUsage, other: ChatUsage): ChatUsage {
  const isCounted = one.cachedInputTokens !== undefined || other.cachedInputTokens !== undefined;
  return {
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    ...(isCounted && { cachedInputTokens: (one.cachedInputTokens ?? 0) + (other.cachedInputTokens ?? 0) }),
  };
}

/** A rough count where nobody has counted: four characters a token, as in English text. */
export function estimateUsage({ messages }: { readonly messages: readonly Pick<ChatMessage, 'content'>[] }, text: string): ChatUsage {
  const characters = messages.reduce((sum, message) => sum + message.content.length, 0);
  return { inputTokens: Math.ceil(characters / 4), outputTokens: Math.ceil(text.length / 4) };
}
