/** What is told of a request once it is over. Neither keys nor messages, users or profiles are in it. */
export interface RequestRecord {
  readonly method: string;
  /** One of the server's own paths, or `(unknown)`. */
  readonly path: string;
  /** Absent if the client left before there was one. */
  readonly status?: number;
  /** Of a refusal or failure. */
  readonly code?: string;
  /** The client left before it had the answer. */
  readonly left: boolean;
  readonly milliseconds: number;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** What failed. Its message may quote what a model wrote. */
  readonly error?: unknown;
}

/**
 * @example
 * import { requestLine } from 'rlpa/server';
 * requestLine({ method: 'GET', path: '/health', status: 200, left: false, milliseconds: 1.2 }); // 'GET /health 200 1 ms'
 */
export function requestLine({ method, path, status, code, left, milliseconds, inputTokens, outputTokens }: RequestRecord): string {
  const tokens = outputTokens === undefined ? '' : ` ${inputTokens}+${outputTokens} tokens`;
  return `${method} ${path} ${status ?? '-'}${code ? ` ${code}` : ''} ${Math.round(milliseconds)} ms${tokens}${left ? ' (client left)' : ''}`;
}
