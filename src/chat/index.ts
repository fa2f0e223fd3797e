export { type AiSdkChatModel, type AiSdkChatOptions, type AiSdkChatStats, aiSdkChat } from './ai-sdk';
export {
  type AiSdkCallOptions,
  type AiSdkContent,
  type AiSdkFinishReason,
  type AiSdkGeneration,
  type AiSdkLanguageModel,
  type AiSdkMessage,
  type AiSdkStream,
  type AiSdkStreamPart,
  type AiSdkUsage,
  aiSdkFinishReason,
  aiSdkMessage,
  aiSdkText,
  aiSdkUsage,
} from './ai-sdk-model';
export {
  type ChatMessage,
  type ChatModel,
  type ChatPart,
  type ChatRequest,
  type ChatResult,
  type ChatUsage,
  isModelFailure,
  modelError,
} from './chat-model';
export { type ChatLimits, type ChatStats, type LimitedChatModel, withLimits } from './limits';
export { type OpenAIChatModel, type OpenAIChatOptions, type OpenAIChatStats, openAIChat } from './openai';
export { endpointOf, openAIError } from './openai-errors';
export { StopStrings } from './stop-strings';
export { type TransformersChatModel, type TransformersChatOptions, transformersChat } from './transformers';
export { addUsage, estimateUsage } from './usage';
