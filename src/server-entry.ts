/** What an app takes to serve its agent, `rlpa/server`. */
export {
  type AgentServer,
  type RequestRecord,
  type RlpaField,
  requestLine,
  type ServeAgentOptions,
  serveAgent,
} from './server/index';
