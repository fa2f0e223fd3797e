import { RlpaError } from '../errors';

/** What may stand in a message about a server, and what must not. */
export interface Endpoint {
  readonly model: string;
  /** Scheme and host, without path or credentials. */
  readonly origin: string;
  /** Keys and passwords. */
  readonly secrets: readonly string[];
}

/** The endpoint of a base URL; header values that may be credentials are secrets too. */
export function endpointOf(
  model: string,
  baseURL: string,
  apiKey: string | undefined,
  headers: Readonly<Record<string, string>>,
): Endpoint {
  const secrets = new Set<string>();
  const conceal = (value: string | undefined) => {
    if (value !== undefined && value.length >= 4) secrets.add(value);
  };
  conceal(apiKey);
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
  return { model, origin: url ? `${url.protocol}//${url.host}` : baseURL, secrets: [...secrets] };
}

/** What the `openai` package's errors have; read by shape, for the package is loaded when it is first used. */
interface ApiError extends Error {
  readonly status?: number;
  readonly code?: string | null;
  readonly type?: string;
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
  const say = (text: string) => conceal(`Model "${endpoint.model}" at ${endpoint.origin}: ${text}`, endpoint.secrets);
  const details = { model: endpoint.model, origin: endpoint.origin };
  if (error instanceof classes.APIConnectionTimeoutError) return new RlpaError('timeout', say('the connection timed out.'), details);
  if (error instanceof classes.APIConnectionError)
    return new RlpaError('model-unreachable', say(`cannot be reached: ${innermost(error)}`), details);
  if (error instanceof classes.APIError) {
    const { status, code, type, message } = error as ApiError;
    const known = { ...details, ...(status !== undefined && { status }), ...(code && { code }), ...(type && { type }) };
    if (error instanceof classes.RateLimitError)
      return new RlpaError('model-rate-limited', say(`the rate limit was hit: ${shorten(message)}`), known);
    return new RlpaError('model-failed', say(`the request failed: ${shorten(message)}`), known);
  }
  return new RlpaError('model-failed', say(`the answer could not be read: ${innermost(error)}`), details);
}

/** The answer came and is not what the protocol says. */
export function unusableAnswer(problem: string, endpoint: Endpoint): RlpaError {
  return new RlpaError('model-failed', `Model "${endpoint.model}" at ${endpoint.origin}: ${problem}`, {
    model: endpoint.model,
    origin: endpoint.origin,
  });
}

function conceal(text: string, secrets: readonly string[]): string {
  return secrets.reduce((clean, secret) => clean.replaceAll(secret, '[concealed]'), text);
}

/** `fetch failed` says little; the reason lies in its cause. */
function innermost(error: unknown): string {
  let current = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  // Node collects one error for each address it tried, with an empty message of its own.
  if (current instanceof AggregateError && current.message === '' && current.errors.length > 0) return innermost(current.errors[0]);
  return shorten(current instanceof Error ? current.message || current.name : String(current));
}

export function shorten(text: string): string {
  return text.length > 500 ? `${text.slice(0, 497)}…` : text;
}
