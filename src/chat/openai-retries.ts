type Fetch = typeof globalThis.fetch;

export interface PatientFetchOptions {
  /** Of the call, all its attempts included. */
  readonly timeoutMs: number | undefined;
  readonly onAttempt: (attempt: number) => void;
  /** There was no connection, and the wait before the next attempt would last past the deadline: the call is to end with this. */
  readonly giveUp: (error: unknown) => void;
}

/**
 * A `fetch` for the attempts of one call. The client repeats what fails after a wait of its own or the server's choice, even past the
 * call's deadline. What would have to wait that long is not repeated, so that its own error is reported instead of a timeout.
 */
export function patientFetch(fetch: Fetch, { timeoutMs = Number.POSITIVE_INFINITY, onAttempt, giveUp }: PatientFetchOptions): Fetch {
  const end = performance.now() + timeoutMs;
  let attempts = 0;
  return async (input, init) => {
    const attempt = attempts++;
    onAttempt(attempt);
    let response: Response;
    try {
      response = await fetch(input, init);
    } catch (error) {
      if (!init?.signal?.aborted && longestBackoff(attempt) >= end - performance.now()) giveUp(error);
      throw error;
    }
    if (response.ok || (requestedWait(response.headers) || longestBackoff(attempt)) < end - performance.now()) return response;
    const headers = new Headers(response.headers);
    headers.set('x-should-retry', 'false');
    return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
  };
}

/** Milliseconds that the client waits at most after this attempt, the first being 0, when nobody asks for another wait. */
function longestBackoff(attempt: number): number {
  return Math.min(500 * 2 ** attempt, 8000);
}

/** Milliseconds that the server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date. */
export function requestedWait(headers: Headers): number {
  const ms = Number.parseFloat(headers.get('retry-after-ms') ?? '');
  if (ms >= 0) return ms;
  const after = headers.get('retry-after');
  if (after === null) return 0;
  const seconds = Number.parseFloat(after);
  const wait = Number.isNaN(seconds) ? Date.parse(after) - Date.now() : 1000 * seconds;
  return Number.isNaN(wait) ? 0 : wait;
}
