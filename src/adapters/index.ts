export type { PersonalizedOptions, ProfileMetadata } from './ai-sdk-call';
export { type AiSdkMiddleware, personalized } from './ai-sdk-middleware';
