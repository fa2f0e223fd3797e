export { type AiSdkMiddleware, type PersonalizedOptions, personalized } from './ai-sdk-middleware';
