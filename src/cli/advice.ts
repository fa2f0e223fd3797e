import type { RlpaError } from '../errors';

/** What went wrong, with what a person can do about it where a server's own words do not say. */
export function messageWithAdvice({ message, details: { status, code } }: RlpaError): string {
  if (status === 401)
    return `${message} Keys are read from the environment: RLPA_API_KEY for a server that a flag names, else OPENAI_API_KEY.`;
  if (status === 404 && code !== 'model_not_found') return `${message} Is it the right address? Most end in /v1.`;
  return message;
}
