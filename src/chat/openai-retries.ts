type Fetch = typeof globalThis.fetch;

/**
 * A `fetch` for the attempts of one call. The client repeats what fails and waits as long as the server asks, even past the call's
 * deadline; an answer that asks for that is marked as not to be repeated, so that its own error is reported instead of a timeout.
 */
export function patientFetch(fetch: Fetch, timeoutMs: number | undefined, onAttempt: (attempt: number) => void): Fetch {
  const end = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY);
  let attempts = 0;
  return async (input, init) => {
    onAttempt(attempts++);
    const response = await fetch(input, init);
    if (response.ok || requestedWait(response.headers) < end - performance.now()) return response;
    const headers = new Headers(response.headers);
    headers.set('x-should-retry', 'false');
    return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
  };
}

/** Milliseconds that the server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date. */
function requestedWait(headers: Headers): number {
  const ms = Number.parseFloat(headers.get('retry-after-ms') ?? '');
  if (ms >= 0) return ms;
  const after = headers.get('retry-after');
  if (after === null) return 0;
  const seconds = Number.parseFloat(after);
  const wait = Number.isNaN(seconds) ? Date.parse(after) - Date.now() : 1000 * seconds;
  return Number.isNaN(wait) ? 0 : wait;
}
