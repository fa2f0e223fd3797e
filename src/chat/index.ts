export type { ChatMessage, ChatModel, ChatPart, ChatRequest, ChatResult, ChatUsage } from './chat-model';
