import { checkTimeout, withDeadline } from '../deadline';
import { checkKnown, RlpaError } from '../errors';
import type { ProfileSchema } from '../profile/index';
import { checkConsent } from './consent';
import type { TurnRequest, WaitOptions } from './turn';

export const defaultTimeoutMs = 60_000;

/** Runs work within limits. @throws `invalid-option`, `timeout`, `aborted`, and what the work throws */
export async function wait<T>(what: string, options: WaitOptions, work: (deadline: AbortSignal) => Promise<T>) {
  checkKnown(what, options, { signal: true, timeoutMs: true });
  const { signal, timeoutMs = defaultTimeoutMs } = options;
  checkTimeout(what, timeoutMs);
  return withDeadline(what, timeoutMs, signal, work);
}

const known = {
  userId: true,
  message: true,
  sessionId: true,
  consent: true,
  signal: true,
  timeoutMs: true,
} satisfies Record<keyof TurnRequest, true>;

/** @throws `invalid-option`, also for what a turn is not told of: a misspelt `sessionId` would be none */
export function checkRequest(schema: ProfileSchema, request: TurnRequest): TurnRequest {
  checkKnown('A turn', request, known);
  checkText('userId', request.userId);
  checkText('message', request.message);
  if (request.sessionId !== undefined) checkText('sessionId', request.sessionId);
  if (request.timeoutMs !== undefined) checkTimeout('A turn', request.timeoutMs);
  checkConsent(schema, request.consent);
  return request;
}

/** @throws `invalid-option` */
export function checkText(option: string, text: string): void {
  if (typeof text === 'string' && text.trim() !== '') return;
  throw new RlpaError('invalid-option', `${option} is text that is not empty, found ${JSON.stringify(text)}.`, { option });
}
