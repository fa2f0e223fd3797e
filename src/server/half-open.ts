import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Keeps few connections on which a request has begun and not arrived: who opens the most of them loses the oldest. A request that is sent in
 * one piece is there before many others can have come, so that clients who send nothing, or a byte at a time, do not keep anybody out.
 */
export function limitHalfOpen(server: Server, most: number): { closeAll(): void } {
  const halfOpen = new Set<Socket>();
  server.on('connection', (socket) => {
    halfOpen.add(socket);
    socket.once('close', () => halfOpen.delete(socket));
    if (halfOpen.size > most) halfOpen.values().next().value!.destroy();
  });
  server.on('request', (request, response) => {
    const { socket } = request;
    if (request.complete || !('content-length' in request.headers || 'transfer-encoding' in request.headers)) halfOpen.delete(socket);
    else request.once('end', () => halfOpen.delete(socket));
    // the next request of the connection
    response.once('close', () => {
      if (!socket.destroyed) halfOpen.add(socket);
    });
  });
  return {
    closeAll() {
      for (const socket of halfOpen) socket.destroy();
    },
  };
}
