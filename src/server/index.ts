export { isLoopback } from './access';
export type { RlpaField } from './completion-response';
export { type RequestRecord, requestLine } from './request-log';
export { type AgentServer, type ServeAgentOptions, serveAgent } from './serve-agent';
