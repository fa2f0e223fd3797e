import type { IncomingMessage } from 'node:http';

/** The body as text, `too-large` as soon as it is known to be, or `incomplete` where the client left before its end. */
export async function readBody(
  incoming: IncomingMessage,
  maxBytes: number,
): Promise<{ readonly text: string } | 'too-large' | 'incomplete'> {
  if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) return 'too-large';
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
      size += chunk.length;
      if (size > maxBytes) return 'too-large';
      chunks.push(chunk);
    }
  } catch {
    return 'incomplete';
  }
  return { text: Buffer.concat(chunks).toString('utf8') };
}
