import type { RlpaError } from '../errors';

/** Why a request gets no answer, as OpenAI's protocol says it. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 429 | 500 | 502 | 503 | 504;
  readonly type: 'invalid_request_error' | 'authentication_error' | 'permission_error' | 'rate_limit_error' | 'server_error';
  readonly code: string | null;
  readonly message: string;
  /** The field of the request that is at fault. */
  readonly param?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function invalidRequest(message: string, code: string | null = null, param?: string): Refusal {
  return { status: 400, type: 'invalid_request_error', code, message, ...(param !== undefined && { param }) };
}

export function serverError(status: 500 | 502 | 503 | 504, code: string, message: string): Refusal {
  return { status, type: 'server_error', code, message };
}

/** The body of an error response, and of an error event in a stream. */
export function errorBody({ message, type, param, code }: Refusal) {
  return { error: { message, type, param: param ?? null, code } };
}

/** In whole seconds: what the model's own server asks for, where it said so. */
function retryAfter(ms: unknown): string {
  return typeof ms === 'number' ? String(Math.ceil(ms / 1000)) : '5';
}

/** The fields of a request by the agent's names for them. */
const fields: Readonly<Record<string, string>> = {
  consent: 'rlpa.consent',
  sessionId: 'rlpa.sessionId',
  userId: 'user',
  message: 'messages',
};

/**
 * What a failed turn is called. Messages of the library's own errors may quote a model's output or name a user: the client gets those that
 * speak of its own request, and for the others what kind of failure it was.
 */
export function refusalOf(error: RlpaError): Refusal {
  const { code, message, details } = error;
  switch (code) {
    case 'invalid-option':
      return invalidRequest(message, 'invalid_value', fields[String(details.option)]);
    case 'timeout':
      return serverError(504, 'timeout', 'The turn took longer than this server allows.');
    case 'aborted':
      return serverError(503, 'shutting_down', 'The server is shutting down.');
    case 'model-rate-limited':
    case 'budget-exceeded':
      return {
        status: 429,
        type: 'rate_limit_error',
        code: 'model_limit',
        message: 'The model is at its limit.',
        headers: { 'retry-after': retryAfter(details.retryAfterMs) },
      };
    case 'model-unreachable':
      return serverError(502, 'model_unreachable', 'The model cannot be reached.');
    case 'store-failed':
      return serverError(503, 'store_failed', 'The profile could not be read.');
    case 'model-failed':
      if (typeof details.maxPositions === 'number') return invalidRequest(message, 'context_length_exceeded', 'messages');
      return serverError(500, 'model_failed', 'The model failed.');
    default:
      return serverError(500, 'internal_error', 'The server failed.');
  }
}
