import type { ServerType } from '@hono/node-server';

/**
 * Ends a server at Ctrl-C or SIGTERM: it takes no more requests, the turns under way are aborted by the signal, and whoever is connected is
 * let go. Then `dispose` puts the rest away, and the program ends by itself. A second Ctrl-C ends it at once.
 */
export function untilInterrupted(server: ServerType, ending: AbortController, dispose: () => Promise<void>): void {
  const end = () => {
    server.close(() => void dispose());
    ending.abort();
    // after what the aborted turns have to say; browsers keep connections on which they have asked for nothing yet
    setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), 200).unref();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
}
