import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { memoryStore, PersonalizedAgent, type ProfileStore, type PromptBuilder } from '../agent/index';
import type { ChatModel } from '../chat/index';
import { checkKnown, invalidOption, RlpaError } from '../errors';
import type { ProfileSchema, SlotMap } from '../profile/index';
import { isLoopback } from './access';
import { Admission } from './admission';
import { ChatCompletionsApp } from './app';
import { limitHalfOpen } from './half-open';
import type { RequestRecord } from './request-log';

export interface ServeAgentOptions<S extends SlotMap = SlotMap> {
  readonly schema: ProfileSchema<S>;
  readonly model: ChatModel;
  /** What the model reads; the agent's own prompt by default, and `transcriptPrompt` for a policy. */
  readonly prompt?: PromptBuilder | undefined;
  /** Where the profiles of named users are kept. Default `memoryStore()`. */
  readonly store?: ProfileStore | undefined;
  /** The name by which clients ask for the model. Default: the model's own. */
  readonly modelName?: string | undefined;
  /** Default 127.0.0.1: programs on this machine alone. */
  readonly host?: string | undefined;
  /** 0 (the default) takes any that is free. */
  readonly port?: number | undefined;
  /** What clients have to show as `Authorization: Bearer …`. Default: nothing. */
  readonly token?: string | undefined;
  /** Most turns at a time. Default 32. */
  readonly concurrency?: number | undefined;
  /** Most turns that wait for their place, each as long as `timeoutMs`; more are refused with 429. Default 128. */
  readonly queue?: number | undefined;
  /** Deadline of a turn. Default one minute. */
  readonly timeoutMs?: number | undefined;
  /** Deadline of a request's arrival, from its first byte to its last. Default ten seconds. */
  readonly arrivalMs?: number | undefined;
  /** Default 1 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Most characters of a message of the user; others are refused. Default 32,768. */
  readonly maxMessageLength?: number | undefined;
  /** Most connections on which a request is still arriving; the oldest gives way to a new one. Default 512. */
  readonly maxHalfOpen?: number | undefined;
  /** How long `close` waits for turns under way. Default ten seconds. */
  readonly graceMs?: number | undefined;
  /** Told of every request once it is over. */
  readonly onRequest?: ((record: RequestRecord) => void) | undefined;
}

/** A server that listens. */
export interface AgentServer {
  /** What OpenAI clients take as their base URL. */
  readonly url: string;
  readonly port: number;
  /** Turns under way, and those that wait for their place. */
  readonly counters: { readonly running: number; readonly waiting: number };
  /** Takes no more requests, waits for those under way as long as `graceMs`, and ends those that are left. */
  close(): Promise<void>;
}

const known = {
  schema: true,
  model: true,
  prompt: true,
  store: true,
  modelName: true,
  host: true,
  port: true,
  token: true,
  concurrency: true,
  queue: true,
  timeoutMs: true,
  arrivalMs: true,
  maxBodyBytes: true,
  maxMessageLength: true,
  maxHalfOpen: true,
  graceMs: true,
  onRequest: true,
} satisfies Record<keyof ServeAgentOptions, true>;

/**
 * Serves a personalized agent by OpenAI's chat-completions protocol. See docs/serve.md for what requests and answers hold.
 *
 * @throws `invalid-option`; `server-failed` when it cannot listen there
 * @example
 * import OpenAI from 'openai';
 * import { LocalPolicy, ProfileSchema, transcriptPrompt } from 'rlpa';
 * import { serveAgent } from 'rlpa/server';
 * const policy = await LocalPolicy.load('./runs/first/policy');
 * const server = await serveAgent({ schema: ProfileSchema.standard, model: policy.asChatModel(), prompt: transcriptPrompt(), port: 8000 });
 * const client = new OpenAI({ baseURL: server.url, apiKey: 'none' });
 * await server.close();
 */
export async function serveAgent<S extends SlotMap>(options: ServeAgentOptions<S>): Promise<AgentServer> {
  checkKnown('serveAgent', options, known);
  // what is wrong with these is not to be told the first client
  new PersonalizedAgent({ schema: options.schema, model: options.model, prompt: options.prompt, store: options.store });
  const { schema, model, prompt, store = memoryStore(), modelName = model.name, host = '127.0.0.1', port = 0, token } = options;
  const { concurrency = 32, queue = 128, timeoutMs = 60_000, arrivalMs = 10_000, maxBodyBytes = 1 << 20 } = options;
  const { maxMessageLength = 32_768, maxHalfOpen = 512, graceMs = 10_000, onRequest = () => {} } = options;
  for (const [option, value] of Object.entries({ concurrency, timeoutMs, arrivalMs, maxBodyBytes, maxMessageLength, maxHalfOpen }))
    checkAtLeast(option, value, 1);
  for (const [option, value] of Object.entries({ queue, graceMs, port })) checkAtLeast(option, value, 0);
  if (token !== undefined && !(typeof token === 'string' && /^\S+$/.test(token)))
    throw invalidOption('serveAgent', 'token', 'text without white space that is not empty, or nothing', token, true);
  let closing: Promise<void> | undefined;
  const admission = new Admission(concurrency, queue, timeoutMs);
  const app = new ChatCompletionsApp(
    {
      schema: schema as unknown as ProfileSchema,
      model,
      prompt,
      store,
      timeoutMs,
      modelName,
      token,
      loopbackOnly: isLoopback(host) && token === undefined,
      maxBodyBytes,
      maxMessageLength,
      onRequest(record) {
        onRequest(record);
        // a connection that is kept alive would keep a server that ends
        if (closing) setImmediate(() => server.closeIdleConnections());
      },
    },
    admission,
  );
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = createServer(
    { headersTimeout: arrivalMs, requestTimeout: arrivalMs, connectionsCheckingInterval: Math.ceil(arrivalMs / 4) },
    listener,
  );
  // who does not take what is written, or keeps a connection without a word, is left in the end: later than a wait and a turn may take
  server.setTimeout(2 * timeoutMs + 30_000);
  const halfOpen = limitHalfOpen(server, maxHalfOpen);
  const address = await listen(server, host, port);
  return {
    url: `http://${urlHost(address)}:${address.port}/v1`,
    port: address.port,
    get counters() {
      return admission.counters;
    },
    close() {
      closing ??= close(server, app, halfOpen, graceMs);
      return closing;
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reasons: Record<string, string> = {
        EADDRINUSE: 'another program listens there',
        EACCES: 'the system does not allow it',
        EADDRNOTAVAIL: 'this machine has no such address',
        ENOTFOUND: 'there is no such host',
      };
      const reason = reasons[error.code ?? ''] ?? error.message;
      reject(new RlpaError('server-failed', `Cannot listen on ${host}:${port}: ${reason}.`, { host, port }, { cause: error }));
    });
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

async function close(server: Server, app: ChatCompletionsApp, halfOpen: { closeAll(): void }, graceMs: number): Promise<void> {
  app.drain();
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  halfOpen.closeAll();
  const atOnce = () => {
    app.abort();
    // what the aborted requests are told still goes out
    setTimeout(() => server.closeAllConnections(), 500).unref();
  };
  const timer = setTimeout(atOnce, graceMs);
  await closed;
  clearTimeout(timer);
}

function urlHost({ address, family }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return 'localhost';
  return family === 'IPv6' ? `[${address}]` : address;
}

function checkAtLeast(option: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value < 2 ** 31) return;
  throw invalidOption('serveAgent', option, `a whole number from ${least} to ${2 ** 31 - 1}`, value);
}
