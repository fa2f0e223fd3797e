import type { ChatRequest, ChatUsage } from './chat-model';

/** A rough count where nobody has counted: four characters a token, as in English text. */
export function estimateUsage(request: ChatRequest, text: string): ChatUsage {
  const characters = request.messages.reduce((sum, message) => sum + message.content.length, 0);
  return { inputTokens: Math.ceil(characters / 4), outputTokens: Math.ceil(text.length / 4) };
}
