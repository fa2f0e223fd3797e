import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A chat-completions request as it came over the wire. */
export interface ServedRequest {
  readonly headers: IncomingMessage['headers'];
  readonly body: {
    readonly model: string;
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly stream?: boolean;
    readonly stream_options?: { readonly include_usage?: boolean };
    readonly response_format?: unknown;
    readonly [option: string]: unknown;
  };
}

/**
 * What goes wrong with one request.
 * - `rate-limit` 429 and `server-error` 500: `retryAfter` seconds are asked for, a hundredth of one by default;
 * - `refused` 400 with a message;
 * - `other`: any answer at all, by its status (200 by default), content type and body;
 * - `slow`: no answer until the server closes;
 * - `stalled`: half of the answer, and then nothing until the server closes;
 * - `cut-off`: half of the answer, and then the connection is destroyed;
 * - `ended`: half of a stream, and then a proper end of the response without a finish reason;
 * - `malformed-json`: a body that is not JSON;
 * - `no-message`: JSON without a message in it;
 * - `malformed-content`: a proper answer whose content is not of the form that was asked for;
 * - `dead`: the server goes away, for this request and all later ones.
 */
export type Fault =
  | { readonly kind: 'rate-limit' | 'server-error'; readonly retryAfter?: number }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'other'; readonly status?: number; readonly contentType?: string; readonly body: string }
  | { readonly kind: 'malformed-content'; readonly content?: string }
  | { readonly kind: 'slow' | 'stalled' | 'cut-off' | 'ended' | 'malformed-json' | 'no-message' | 'dead' };

export interface OpenAIServerOptions {
  /** What is answered; the last user message in capitals by default. */
  readonly answer?: (request: ServedRequest) => string | Promise<string>;
  /** Which fault the request with this index (from 0, repeated requests counted) meets, if any. */
  readonly fault?: (request: ServedRequest, index: number) => Fault | Fault['kind'] | undefined;
  /** Default true. */
  readonly usage?: boolean;
  /** How much of each prompt was read before; not said by default. */
  readonly cachedTokens?: number;
  readonly finishReason?: string;
  /** Any free one by default; that of a server that went away, for it to come back. */
  readonly port?: number;
}

export interface OpenAIServer {
  /** For `openAIChat({ baseURL })`. */
  readonly url: string;
  /** Every request that came, repeated ones included. */
  readonly requests: readonly ServedRequest[];
  /** Most requests that were under way at the same time. */
  readonly peak: number;
  close(): Promise<void>;
}

/** A real HTTP server on a loopback port that speaks OpenAI's chat-completions protocol, and fails as told. */
export async function startOpenAIServer(options: OpenAIServerOptions = {}): Promise<OpenAIServer> {
  const requests: ServedRequest[] = [];
  let active = 0;
  let peak = 0;

  const server = createServer((incoming, response) => {
    active++;
    peak = Math.max(peak, active);
    response.on('close', () => active--);
    serve(incoming, response).catch((error) => {
      response.writeHead(500, { 'content-type': 'application/json', 'x-should-retry': 'false' });
      response.end(JSON.stringify({ error: { message: `test server: ${error}` } }));
    });
  });

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    if (incoming.method !== 'POST' || incoming.url !== '/v1/chat/completions') {
      return sendError(response, 404, `no such path: ${incoming.method} ${incoming.url}`);
    }
    const request: ServedRequest = { headers: incoming.headers, body: JSON.parse(Buffer.concat(chunks).toString()) };
    requests.push(request);
    const found = options.fault?.(request, requests.length - 1);
    const fault = typeof found === 'string' ? ({ kind: found } as Fault) : found;

    switch (fault?.kind) {
      case 'rate-limit':
        return sendError(response, 429, 'too many requests', { 'retry-after': String(fault.retryAfter ?? 0.01) });
      case 'server-error':
        return sendError(response, 500, 'the server had an error', { 'retry-after': String(fault.retryAfter ?? 0.01) });
      case 'refused':
        return sendError(response, 400, fault.message);
      case 'other':
        response.writeHead(fault.status ?? 200, fault.contentType === undefined ? {} : { 'content-type': fault.contentType });
        response.end(fault.body);
        return;
      case 'slow':
        return;
      case 'dead':
        await close();
        return;
      case 'malformed-json':
        response.writeHead(200, { 'content-type': request.body.stream ? 'text/event-stream' : 'application/json' });
        response.end(request.body.stream ? 'data: {"choices": [{"del\n\n' : '{"choices": [{"mess');
        return;
      case 'no-message':
        if (request.body.stream) return sendEvents(response, [{ object: 'chat.completion.chunk', choices: [] }]);
        return sendJson(response, { object: 'chat.completion', choices: [] });
    }
    const answered = fault?.kind === 'malformed-content' ? (fault.content ?? 'I would rather not.') : await answer(request);
    const breaks = fault?.kind === 'cut-off' || fault?.kind === 'stalled' || fault?.kind === 'ended' ? fault.kind : undefined;
    if (request.body.stream) return stream(request, response, answered, breaks);
    const body = JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      model: request.body.model,
      choices: [{ index: 0, message: { role: 'assistant', content: answered }, finish_reason: options.finishReason ?? 'stop' }],
      ...(options.usage !== false && { usage: usageOf(request, answered, options.cachedTokens) }),
    });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    if (breaks === undefined) response.end(body);
    else response.write(body.slice(0, body.length / 2), () => breaks !== 'stalled' && response.destroy());
  }

  function answer(request: ServedRequest): string | Promise<string> {
    if (options.answer) return options.answer(request);
    return request.body.messages.findLast((message) => message.role === 'user')!.content.toUpperCase();
  }

  async function stream(
    request: ServedRequest,
    response: ServerResponse,
    text: string,
    breaks?: 'cut-off' | 'stalled' | 'ended',
  ): Promise<void> {
    const chunk = (choices: unknown[], more = {}) => ({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      model: request.body.model,
      choices,
      ...more,
    });
    const half = Math.floor(text.length / 2);
    const first = chunk([{ index: 0, delta: { role: 'assistant', content: text.slice(0, half) }, finish_reason: null }]);
    if (breaks !== undefined) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event(first), () => {
        if (breaks === 'cut-off') response.destroy();
        if (breaks === 'ended') response.end();
      });
      return;
    }
    return sendEvents(response, [
      first,
      chunk([{ index: 0, delta: { content: text.slice(half) }, finish_reason: null }]),
      chunk([{ index: 0, delta: {}, finish_reason: options.finishReason ?? 'stop' }]),
      ...(options.usage !== false && request.body.stream_options?.include_usage
        ? [chunk([], { usage: usageOf(request, text, options.cachedTokens) })]
        : []),
    ]);
  }

  function close(): Promise<void> {
    return new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    get peak() {
      return peak;
    },
    close,
  };
}

/** Words, so that a test can count them by hand. */
function usageOf(request: ServedRequest, text: string, cached: number | undefined): Record<string, unknown> {
  const count = (content: string) => content.split(/\s+/).filter((word) => word !== '').length;
  const prompt = request.body.messages.reduce((sum, message) => sum + count(message.content), 0);
  const details = cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } };
  return { prompt_tokens: prompt, completion_tokens: count(text), total_tokens: prompt + count(text), ...details };
}

function event(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function sendEvents(response: ServerResponse, events: readonly unknown[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const data of events) response.write(event(data));
  response.end('data: [DONE]\n\n');
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendError(response: ServerResponse, status: number, message: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message, type: 'test', code: null, param: null } }));
}
