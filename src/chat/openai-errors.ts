import { RlpaError } from '../errors';
import { requestedWait } from './openai-retries';
import { type Confidential, serverWords } from './server-words';

/** What may stand in a message about a server, and what must not. */
export interface Endpoint extends Confidential {
  /** Scheme and host, without path or credentials. */
  readonly origin: string;
}

/** Whom a request goes to, and with what. */
export interface Destination {
  readonly model: string;
  readonly baseURL: string;
  readonly apiKey: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** The texts of the messages. */
  readonly sent: readonly string[];
}

/** The endpoint of a request; header values that may be credentials are secrets too. */
export function endpointOf({ model, baseURL, apiKey, headers = {}, sent }: Destination): Endpoint {
  const secrets = new Set<string>();
  const conceal = (value: string) => secrets.add(value);
  if (apiKey !== undefined) conceal(apiKey);
  for (const [name, value] of Object.entries(headers)) {
    if (!/auth|key|token|secret|cookie/i.test(name)) continue;
    conceal(value);
    conceal(value.replace(/^\S+\s+/, ''));
  }
  const url = URL.canParse(baseURL) ? new URL(baseURL) : undefined;
  if (url?.password) {
    conceal(url.password);
    conceal(decodeURIComponent(url.password));
  }
  return { model, origin: url ? `${url.protocol}//${url.host}` : '(no URL)', secrets: [...secrets], sent };
}

/** What the `openai` package's errors have; read by shape, for the package is loaded when it is first used. */
interface ApiError extends Error {
  readonly status?: number;
  readonly code?: unknown;
  readonly type?: unknown;
  readonly param?: unknown;
  readonly headers?: Headers;
}

type ErrorClasses = Pick<
  typeof import('openai').OpenAI,
  'APIError' | 'APIConnectionError' | 'APIConnectionTimeoutError' | 'RateLimitError'
>;

/**
 * Maps what went wrong to the codes of `ChatModel`. The cause is not carried along: it may hold what was sent, and with it the key.
 */
export function openAIError(error: unknown, classes: ErrorClasses, endpoint: Endpoint): RlpaError {
  if (RlpaError.isInstance(error)) return error;
  const say = (text: string) => `Model "${endpoint.model}" at ${endpoint.origin}: ${text}`;
  const words = (text: string) => serverWords(text, endpoint);
  const details = { model: endpoint.model, origin: endpoint.origin };
  if (error instanceof classes.APIConnectionTimeoutError) return new RlpaError('timeout', say('the connection timed out.'), details);
  if (error instanceof classes.APIConnectionError)
    return new RlpaError('model-unreachable', say(`cannot be reached: ${words(innermost(error))}`), details);
  if (error instanceof classes.APIError) {
    const { status, code, type, message, headers } = error as ApiError;
    const known = {
      ...details,
      ...(status !== undefined && { status }),
      ...(isWord(code) && { code: words(code) }),
      ...(isWord(type) && { type: words(type) }),
      ...(headers && waitAskedFor(headers)),
    };
    // within a stream, or with status 200, the code may be all that tells
    if (error instanceof classes.RateLimitError || Number(code) === 429)
      return new RlpaError('model-rate-limited', say(`the rate limit was hit: ${words(message)}`), known);
    return new RlpaError('model-failed', say(`the request failed: ${words(message)}${hint(error as ApiError)}`), known);
  }
  return new RlpaError('model-failed', say(`the answer could not be read: ${words(innermost(error))}`), details);
}

/** The answer came and is not what the protocol says. */
export function unusableAnswer(problem: string, endpoint: Endpoint): RlpaError {
  return new RlpaError('model-failed', `Model "${endpoint.model}" at ${endpoint.origin}: ${problem}`, {
    model: endpoint.model,
    origin: endpoint.origin,
  });
}

/** For the details of an error: how long the server wants to be left alone, where it says so. */
export function waitAskedFor(headers: Headers): { readonly retryAfterMs?: number } {
  const retryAfterMs = requestedWait(headers);
  return retryAfterMs > 0 && Number.isFinite(retryAfterMs) ? { retryAfterMs } : {};
}

function hint(error: ApiError): string {
  return refusesFormat(error) ? ' (With structuredOutput: false, openAIChat sends no response_format.)' : '';
}

/** Whether a request was refused for its `response_format`. */
export function refusesFormat(error: unknown): boolean {
  const { status, message, param } = error as ApiError;
  return status === 400 && /response_format|schema/i.test(`${param} ${message}`);
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** `fetch failed` says little; the reason lies in its cause. */
function innermost(error: unknown): string {
  let current = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  // Node collects one error for each address it tried, with an empty message of its own.
  if (current instanceof AggregateError && current.message === '' && current.errors.length > 0) return innermost(current.errors[0]);
  return current instanceof Error ? current.message || current.name : String(current);
}
