import { abortedError, RlpaError } from '../../errors';

/**
 * What went wrong below a store, as `store-failed`, or as `aborted` where the caller gave up.
 *
 * @param place the file or database that it went wrong in
 */
export function storeError(place: string, cause: unknown, signal?: AbortSignal): RlpaError {
  if (RlpaError.isInstance(cause)) return cause;
  if (signal?.aborted) return abortedError(signal);
  return new RlpaError('store-failed', `${place}: ${reasonOf(cause)}`, { store: place }, { cause });
}

/** Node says nothing in the message of an error that stands for several, such as a host's addresses that all refused. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') return cause.errors.map(reasonOf).join('; ');
  return cause instanceof Error && cause.message !== '' ? cause.message : String(cause);
}

/** The code that the operating system gave, such as ENOENT. */
export function systemCode(cause: unknown): string | undefined {
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}
