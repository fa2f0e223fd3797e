import { randomUUID } from 'node:crypto';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import type { TurnResult } from '../agent/index';
import { RlpaError } from '../errors';
import { bearerCheck, namesLoopback } from './access';
import type { Admission } from './admission';
import { parseCompletionRequest } from './completion-request';
import { type CompletionHead, completion, completionChunks } from './completion-response';
import { CompletionTurn, type CompletionTurnOptions } from './completion-turn';
import { readDialogue } from './dialogue';
import { readBody } from './read-body';
import { errorBody, invalidRequest, type Refusal, refusalOf, serverError } from './refusal';
import type { RequestRecord } from './request-log';
import { sendEvents, sendJson } from './send';

export interface AppOptions extends CompletionTurnOptions {
  readonly modelName: string;
  readonly token?: string;
  /** Answer only requests that call this machine by a loopback name. */
  readonly loopbackOnly: boolean;
  readonly maxBodyBytes: number;
  readonly maxMessageLength: number;
  readonly onRequest: (record: RequestRecord) => void;
}

/** A request under way. */
interface OpenRequest {
  /** Fires when the client leaves, or when the server ends without waiting any longer. */
  readonly controller: AbortController;
  code?: string;
  usage?: TurnResult['usage'];
  error?: unknown;
}

interface Environment {
  Bindings: HttpBindings;
  Variables: { request: OpenRequest };
}

const paths = ['/health', '/v1/models', '/v1/chat/completions'];
const modelPath = '/v1/models/';

/** The protocol over an agent, without the sockets. */
export class ChatCompletionsApp {
  readonly fetch: Hono<Environment>['fetch'];
  readonly #options: AppOptions;
  readonly #admission: Admission;
  readonly #open = new Set<OpenRequest>();
  readonly #created = Math.floor(Date.now() / 1000);
  #isDraining = false;

  constructor(options: AppOptions, admission: Admission) {
    this.#options = options;
    this.#admission = admission;
    this.fetch = this.#routes().fetch;
  }

  /** From now on requests are refused; those under way go on. */
  drain(): void {
    this.#isDraining = true;
  }

  get openRequests(): number {
    return this.#open.size;
  }

  /** Ends the requests under way. */
  abort(): void {
    for (const { controller } of this.#open) controller.abort(new RlpaError('aborted', 'The server is shutting down.'));
  }

  #routes(): Hono<Environment> {
    const { token, loopbackOnly, modelName } = this.#options;
    const app = new Hono<Environment>();
    app.use((c, next) => {
      this.#follow(c);
      return next();
    });
    app.use(async (c, next) => {
      if (loopbackOnly && !namesLoopback(c.req.header('host')))
        return refuse(c, {
          status: 403,
          type: 'permission_error',
          code: 'unknown_host',
          message: 'This server answers to loopback names only.',
        });
      if (this.#isDraining)
        return refuse(c, { ...serverError(503, 'shutting_down', 'The server is shutting down.'), headers: { connection: 'close' } });
      return next();
    });
    app.get('/health', (c) => c.json({ status: 'ok', ...this.#admission.counters }));
    if (token !== undefined) {
      const isAllowed = bearerCheck(token);
      app.use('/v1/*', async (c, next) => {
        if (isAllowed(c.req.header('authorization'))) return next();
        const message = 'A bearer token is needed, and the one that was shown, if any, is not it.';
        return refuse(c, {
          status: 401,
          type: 'authentication_error',
          code: 'invalid_api_key',
          message,
          headers: { 'www-authenticate': 'Bearer' },
        });
      });
    }
    const model = { id: modelName, object: 'model', created: this.#created, owned_by: 'rlpa' };
    app.get('/v1/models', (c) => c.json({ object: 'list', data: [model] }));
    app.get(`${modelPath}:id{.+}`, (c) => (c.req.param('id') === modelName ? c.json(model) : refuse(c, this.#unknownModel())));
    app.post(
      '/v1/chat/completions',
      async (c, next) => {
        if (/^application\/json\b/i.test(c.req.header('content-type') ?? '')) return next();
        // also keeps out forms and scripts of web pages, which may send anything else without asking
        const message = 'Expected a body with content-type application/json.';
        return refuse(c, { status: 415, type: 'invalid_request_error', code: 'unsupported_media_type', message });
      },
      (c) => this.#complete(c),
    );
    for (const path of ['/v1/chat/completions', '/v1/models', '/health']) {
      app.all(path, (c) =>
        refuse(c, { ...invalidRequest(`${c.req.method} is not what ${path} is for.`, 'method_not_allowed'), status: 405 }),
      );
    }
    app.notFound((c) => refuse(c, { ...invalidRequest('There is no such path.', 'not_found'), status: 404 }));
    app.onError((error, c) => {
      c.get('request').error = error;
      return refuse(c, serverError(500, 'internal_error', 'The server failed.'));
    });
    return app;
  }

  /** Notices how the request ends, and tells. */
  #follow(c: Context<Environment>): void {
    const request: OpenRequest = { controller: new AbortController() };
    const startedAt = performance.now();
    const { method, path } = c.req;
    const { outgoing } = c.env;
    c.set('request', request);
    this.#open.add(request);
    outgoing.once('close', () => {
      this.#open.delete(request);
      const left = !outgoing.writableFinished;
      if (left) request.controller.abort(new RlpaError('aborted', 'The client left.'));
      this.#options.onRequest({
        method,
        path: paths.includes(path) ? path : path.startsWith(modelPath) ? `${modelPath}…` : '(unknown)',
        ...(outgoing.headersSent && { status: outgoing.statusCode }),
        ...(request.code && { code: request.code }),
        left,
        milliseconds: performance.now() - startedAt,
        ...request.usage,
        ...(request.error !== undefined && { error: request.error }),
      });
    });
  }

  async #complete(c: Context<Environment>): Promise<Response> {
    const open = c.get('request');
    const { signal } = open.controller;
    const { maxBodyBytes, maxMessageLength } = this.#options;
    const body = await readBody(c.env.incoming, maxBodyBytes);
    if (body === 'too-large') {
      return refuse(c, {
        status: 413,
        type: 'invalid_request_error',
        code: 'body_too_large',
        message: `The body is larger than ${maxBodyBytes} bytes.`,
        headers: { connection: 'close' },
      });
    }
    if (body === 'incomplete')
      return refuse(c, { status: 408, type: 'invalid_request_error', code: 'incomplete_body', message: 'The body did not arrive.' });
    const request = parseCompletionRequest(body.text);
    if ('status' in request) return refuse(c, request as Refusal);
    if (request.model !== this.#options.modelName) return refuse(c, this.#unknownModel());
    const dialogue = readDialogue(request.messages, maxMessageLength);
    if ('status' in dialogue) return refuse(c, dialogue);

    const turn = new CompletionTurn(this.#options, request, dialogue);
    const head: CompletionHead = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: this.#options.modelName };
    let leave: (() => void) | undefined;
    try {
      leave = await this.#admission.enter(signal);
      if (!leave) {
        const message = 'Too many requests wait for an answer.';
        return refuse(c, { status: 429, type: 'rate_limit_error', code: 'server_busy', message, headers: { 'retry-after': '1' } });
      }
      if (request.stream) {
        const parts = await turn.stream(signal);
        const includeUsage = request.stream_options?.include_usage ?? false;
        const onFinish = ({ usage }: TurnResult) => {
          open.usage = usage;
        };
        const events = completionChunks(head, turn, parts, { includeUsage, onFinish });
        sendEvents(c.env.outgoing, events, this.#options.timeoutMs, (error) => {
          const refusal = failure(error, open);
          open.code = refusal.code ?? refusal.type;
          return errorBody(refusal);
        }).finally(leave);
        return RESPONSE_ALREADY_SENT;
      }
      const result = await turn.respond(signal);
      open.usage = result.usage;
      leave();
      sendJson(c.env.outgoing, completion(head, turn, result));
      return RESPONSE_ALREADY_SENT;
    } catch (error) {
      leave?.();
      return refuse(c, failure(error, open));
    }
  }

  #unknownModel(): Refusal {
    return {
      ...invalidRequest(`The model does not exist; this server has "${this.#options.modelName}".`, 'model_not_found', 'model'),
      status: 404,
    };
  }
}

function refuse(c: Context<Environment>, refusal: Refusal): Response {
  c.get('request').code = refusal.code ?? refusal.type;
  return c.json(errorBody(refusal), refusal.status, { ...refusal.headers });
}

function failure(error: unknown, open: OpenRequest): Refusal {
  open.error = error;
  if (RlpaError.isInstance(error)) return refusalOf(error);
  return serverError(500, 'internal_error', 'The server failed.');
}
