import type { ServerResponse } from 'node:http';

/*
 * Answers go to the socket by Node's own means. By way of a web stream each piece of a reply costs several times as much, and with many
 * clients at once that is time which the engine waits for.
 */

/** A whole answer as JSON. */
export function sendJson(outgoing: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value);
  outgoing.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  outgoing.end(body);
}

/**
 * An answer as server-sent events, each a chunk, the last one `[DONE]`. What fails under way is an event too.
 *
 * @param patienceMs how long a client may take no more of what is written before it is left
 */
export async function sendEvents(
  outgoing: ServerResponse,
  chunks: AsyncIterable<object>,
  patienceMs: number,
  onError: (error: unknown) => object,
): Promise<void> {
  outgoing.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  });
  const send = (data: string) => outgoing.write(`data: ${data}\n\n`);
  try {
    for await (const chunk of chunks) {
      if (!send(JSON.stringify(chunk))) await drained(outgoing, patienceMs);
      if (outgoing.destroyed) return;
    }
    send('[DONE]');
  } catch (error) {
    const answer = onError(error);
    if (!outgoing.destroyed) send(JSON.stringify(answer));
  }
  outgoing.end();
}

/** Waits until there is room for more, or nobody to write to. */
function drained(outgoing: ServerResponse, patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => outgoing.destroy(), patienceMs);
    const go = () => {
      clearTimeout(timer);
      outgoing.off('drain', go).off('close', go);
      resolve();
    };
    outgoing.once('drain', go).once('close', go);
    if (outgoing.destroyed) go();
  });
}
