import type OpenAI from 'openai';
import { longestTimer } from '../deadline';
import { checkKnown, invalidOption, RlpaError, throwIfAborted } from '../errors';
import type { ChatModel, ChatPart, ChatRequest, ChatResult, ChatUsage } from './chat-model';
import { type ChatLimits, type ChatStats, chatLimits, type LimitedChatModel, limitedFor } from './limits';
import { type Endpoint, endpointOf, openAIError, refusesFormat, unusableAnswer } from './openai-errors';
import { patientFetch } from './openai-retries';
import { serverWords } from './server-words';
import { strictSchema } from './strict-schema';
import { estimateUsage } from './usage';

export interface OpenAIChatOptions extends ChatLimits {
  readonly model: string;
  /** Where an OpenAI-compatible server answers, up to its `/v1`: the path of each request is added. Default: OPENAI_BASE_URL or OpenAI itself. */
  readonly baseURL?: string | undefined;
  /**
   * Blanks and line ends around it are left out. Default: OPENAI_API_KEY where no `baseURL` is given, and none where one is: a key is not sent
   * to a server it was not made for.
   */
  readonly apiKey?: string | undefined;
  /** How often a request is repeated after a failed connection, 408, 409, 429 and 5xx, with jittered exponential waits; default 2. */
  readonly maxRetries?: number | undefined;
  /**
   * Whether the server takes a JSON Schema as `response_format`; default true. OpenAI and Azure are asked to keep to it (`strict`) where their
   * rules for schemas allow it.
   */
  readonly structuredOutput?: boolean | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Default the global one: for proxies, logs and tests. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

export interface OpenAIChatStats extends ChatStats {
  /** HTTP requests that were sent, those that were repeated included. */
  readonly requests: number;
  readonly retries: number;
}

export interface OpenAIChatModel extends LimitedChatModel {
  readonly stats: OpenAIChatStats;
}

/**
 * A model behind OpenAI's chat-completions protocol: OpenAI, Azure, vLLM, Ollama, llama.cpp and many more. Where a server reports no
 * usage, tokens are estimated at four characters each. In a browser everybody can read the key: use a proxy of your own there.
 *
 * The `openai` package is loaded with the first call. Errors quote what the server says of a failure, without keys, and without what it
 * repeats of the messages: runs of 20 characters and more, and whole messages from 8.
 *
 * @throws `invalid-option` for an empty model name, a `baseURL` that is none, an `apiKey` that no HTTP header can hold, and limits that are
 * not positive.
 * @example
 * import { openAIChat } from 'rlpa';
 * const model = openAIChat({ model: 'qwen2.5:3b', baseURL: 'http://localhost:11434/v1', concurrency: 4, tokenBudget: 1_000_000 });
 * const { text } = await model.generate({ messages: [{ role: 'user', content: 'Hello!' }], timeoutMs: 10_000 });
 * model.stats.retries;
 */
export function openAIChat(options: OpenAIChatOptions): OpenAIChatModel {
  checkKnown('openAIChat', options, {
    model: true,
    baseURL: true,
    apiKey: true,
    maxRetries: true,
    structuredOutput: true,
    headers: true,
    fetch: true,
    ...chatLimits,
  });
  const { model, baseURL, maxRetries = 2, structuredOutput = true } = options;
  if (typeof model !== 'string' || model === '') throw invalidOption('openAIChat', 'model', 'the name of a model', model);
  if (baseURL !== undefined) checkBaseURL(baseURL);
  const apiKey = readKey(options.apiKey);
  if (!Number.isInteger(maxRetries) || maxRetries < 0)
    throw invalidOption('openAIChat', 'maxRetries', 'a whole number of at least 0', maxRetries);

  const traffic = { requests: 0, retries: 0 };
  const protocol = new ChatCompletions({ ...options, apiKey }, maxRetries, (attempt) => {
    traffic.requests++;
    if (attempt > 0) traffic.retries++;
  });
  const limited = limitedFor(
    'openAIChat',
    { name: model, structuredOutput, generate: (r) => protocol.generate(r), stream: (r) => protocol.stream(r) },
    options,
  );
  return {
    ...limited,
    get stats() {
      return { ...limited.stats, ...traffic };
    },
  };
}

function checkBaseURL(baseURL: string): void {
  const refuse = (expected: string) => {
    // a query or the part before an @ may hold a key
    throw invalidOption('openAIChat', 'baseURL', expected, baseURL, /[@?#]/.test(baseURL));
  };
  if (!/^https?:\/\//.test(baseURL) || !URL.canParse(baseURL)) refuse('an http or https URL');
  if (/[?#]|\/chat\/completions\/*$/.test(baseURL))
    refuse('the URL up to /v1, such as http://localhost:11434/v1, without query or fragment; /chat/completions is added to it');
}

/** The key without what a file or a form has put around it; undefined for none. */
function readKey(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    const apiKey = text.trim();
    new Headers({ authorization: `Bearer ${apiKey}` });
    return apiKey || undefined;
  } catch {
    throw invalidOption('openAIChat', 'apiKey', 'a key of characters that an HTTP header can hold', text, true);
  }
}

interface Connection {
  readonly client: OpenAI;
  readonly endpoint: Endpoint;
  /** The request's, which a connection that is lost for good ends too. */
  readonly signal: AbortSignal;
  errorOf(error: unknown): RlpaError;
  /** Some servers send their errors with status 200. */
  failureIn(body: unknown): RlpaError | undefined;
}

type Body = OpenAI.Chat.ChatCompletionCreateParamsNonStreaming;

/** The protocol alone, without limits. Requests come with a signal and a deadline. */
class ChatCompletions implements Pick<ChatModel, 'generate' | 'stream'> {
  readonly #options: OpenAIChatOptions;
  readonly #maxRetries: number;
  readonly #onAttempt: (attempt: number) => void;
  /** As JSON, the strict schemas that the server has refused. */
  readonly #refused = new Set<string>();

  constructor(options: OpenAIChatOptions, maxRetries: number, onAttempt: (attempt: number) => void) {
    this.#options = options;
    this.#maxRetries = maxRetries;
    this.#onAttempt = onAttempt;
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    const { client, signal, endpoint, errorOf, failureIn } = await this.#connect(request);
    let completion: OpenAI.Chat.ChatCompletion;
    let response: Response;
    try {
      ({ data: completion, response } = await this.#send(request, client.baseURL, (body) =>
        client.chat.completions.create(body, { signal }).withResponse(),
      ));
    } catch (error) {
      throw errorOf(error);
    }
    if (typeof completion === 'string') throw unusableAnswer(`the answer is no JSON but ${contentType(response, endpoint)}.`, endpoint);
    const choice = completion?.choices?.[0];
    if (choice?.message === undefined || choice.message === null)
      throw failureIn(completion) ?? unusableAnswer('the answer has no message in it.', endpoint);
    const { content, refusal } = choice.message;
    const text = content ?? refusal ?? '';
    if (typeof text !== 'string') throw unusableAnswer('the content of the answer is not text.', endpoint);
    return {
      text,
      usage: readUsage(completion.usage) ?? estimateUsage(request, text),
      finishReason: content == null && refusal ? 'content-filter' : finishReason(choice.finish_reason),
    };
  }

  async *stream(request: ChatRequest): AsyncIterable<ChatPart> {
    const { client, signal, endpoint, errorOf, failureIn } = await this.#connect(request);
    let response: Response;
    let text = '';
    let refused = false;
    let finish: string | undefined;
    let usage: ChatUsage | undefined;
    try {
      const answer = await this.#send(request, client.baseURL, (body) =>
        client.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } }, { signal }).withResponse(),
      );
      response = answer.response;
      if (isJSON(response))
        throw failureIn(await response.json()) ?? unusableAnswer('a stream was asked for, and the answer is one piece of JSON.', endpoint);
      for await (const chunk of answer.data) {
        usage = readUsage(chunk?.usage) ?? usage;
        const choice = chunk?.choices?.[0];
        const piece = choice?.delta?.content ?? choice?.delta?.refusal;
        if (choice?.delta?.refusal) refused = true;
        if (typeof piece === 'string' && piece !== '') {
          text += piece;
          yield { type: 'text', text: piece };
        }
        finish = choice?.finish_reason ?? finish;
      }
    } catch (error) {
      throw errorOf(error);
    }
    throwIfAborted(request.signal); // the package ends an aborted stream without a word
    if (text === '' && finish === undefined && !isEventStream(response))
      throw unusableAnswer(`a stream of events was asked for, and the answer is ${contentType(response, endpoint)}.`, endpoint);
    if (finish === undefined) throw unusableAnswer(`the stream was cut off after ${text.length} characters.`, endpoint);
    const reason = refused ? 'content-filter' : finishReason(finish);
    yield { type: 'finish', text, usage: usage ?? estimateUsage(request, text), finishReason: reason };
  }

  /** A client for one call: its `fetch` knows the call's deadline and counts the call's attempts. */
  async #connect(request: ChatRequest): Promise<Connection> {
    const { baseURL, headers = {}, model, fetch = globalThis.fetch } = this.#options;
    const { apiKey } = this.#options;
    const keyless = apiKey === undefined && baseURL !== undefined;
    const { OpenAI } = await import('openai');
    const hopeless = new AbortController();
    const { timeoutMs } = request;
    let client: OpenAI;
    try {
      client = new OpenAI({
        apiKey: keyless ? 'none' : apiKey,
        ...(baseURL !== undefined && { baseURL, organization: null, project: null }),
        defaultHeaders: { ...(keyless && { Authorization: null }), ...headers },
        maxRetries: this.#maxRetries,
        timeout: timeoutMs === undefined ? undefined : Math.min(Math.ceil(timeoutMs), longestTimer),
        fetch: patientFetch(fetch, { timeoutMs, onAttempt: this.#onAttempt, giveUp: (cause) => hopeless.abort(cause) }),
        logLevel: 'off',
        dangerouslyAllowBrowser: true,
      });
    } catch {
      const message = `Model "${model}": there is no key. Pass apiKey or set OPENAI_API_KEY; a server of your own needs a baseURL instead.`;
      throw new RlpaError('model-failed', message, { model });
    }
    const endpoint = endpointOf({
      model,
      baseURL: client.baseURL,
      apiKey: keyless ? undefined : (client.apiKey ?? undefined),
      headers,
      sent: request.messages.map(({ content }) => content),
    });
    const errorOf = (error: unknown) => {
      const lost = hopeless.signal.aborted && new OpenAI.APIConnectionError({ cause: hopeless.signal.reason });
      return openAIError(lost || error, OpenAI, endpoint);
    };
    return {
      client,
      endpoint,
      signal: request.signal ? AbortSignal.any([request.signal, hopeless.signal]) : hopeless.signal,
      errorOf,
      failureIn(body) {
        const { error } = (body ?? {}) as { readonly error?: object };
        return error ? errorOf(new OpenAI.APIError(undefined, error, undefined, undefined)) : undefined;
      },
    };
  }

  /**
   * OpenAI and Azure keep to a schema only with `strict`. Their rules differ by model, so a schema that is refused is sent again without, now and
   * from then on. No other server is sent it: most keep to any schema, and OpenRouter finds nobody who serves some of its models so.
   */
  async #send<T>(request: ChatRequest, baseURL: string, send: (body: Body) => Promise<T>): Promise<T> {
    const { structuredOutput = true } = this.#options;
    const body = this.#body(request, baseURL);
    if (request.jsonSchema === undefined || !structuredOutput) return send(body);
    const { name, schema } = request.jsonSchema;
    const bestEffort: Body = { ...body, response_format: { type: 'json_schema', json_schema: { name, schema: { ...schema } } } };
    const strict = isOpenAI(baseURL) ? strictSchema(schema) : undefined;
    const text = JSON.stringify(strict);
    if (strict === undefined || this.#refused.has(text)) return send(bestEffort);
    try {
      return await send({ ...body, response_format: { type: 'json_schema', json_schema: { name, strict: true, schema: { ...strict } } } });
    } catch (error) {
      if (!refusesFormat(error)) throw error;
      const answer = await send(bestEffort);
      this.#refused.add(text);
      return answer;
    }
  }

  #body(request: ChatRequest, baseURL: string): Body {
    const { messages, temperature, topP, maxTokens, stop, seed } = request;
    return {
      model: this.#options.model,
      messages: messages.map(({ role, content }) => ({ role, content })),
      ...(temperature !== undefined && { temperature }),
      ...(topP !== undefined && { top_p: topP }),
      // OpenAI's newer models refuse the old name, and most other servers do not know the new one.
      ...(maxTokens !== undefined && (isOpenAI(baseURL) ? { max_completion_tokens: maxTokens } : { max_tokens: maxTokens })),
      ...(stop !== undefined && stop.length > 0 && { stop: [...stop] }),
      ...(seed !== undefined && { seed }),
    };
  }
}

function contentType(response: Response, endpoint: Endpoint): string {
  const type = response.headers.get('content-type');
  return type ? `of content type ${serverWords(type, endpoint)}` : 'of no content type';
}

function isJSON(response: Response): boolean {
  return /^application\/(?:[^;]*\+)?json\b/i.test(response.headers.get('content-type') ?? '');
}

function isEventStream(response: Response): boolean {
  return /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '');
}

function isOpenAI(baseURL: string): boolean {
  return /^https:\/\/[^/]*\b(?:api\.openai\.com|openai\.azure\.com)\b/.test(baseURL);
}

interface OpenAIUsage {
  readonly prompt_tokens?: unknown;
  readonly completion_tokens?: unknown;
  readonly prompt_tokens_details?: { readonly cached_tokens?: unknown } | null;
}

function readUsage(usage: OpenAIUsage | null | undefined): ChatUsage | undefined {
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens, prompt_tokens_details: details } = usage ?? {};
  if (!Number.isFinite(inputTokens) || !Number.isFinite(outputTokens)) return undefined;
  const cached = details?.cached_tokens;
  return {
    inputTokens: inputTokens as number,
    outputTokens: outputTokens as number,
    ...(Number.isFinite(cached) && { cachedInputTokens: cached as number }),
  };
}

function finishReason(reason: string | null | undefined): ChatResult['finishReason'] {
  if (reason === 'stop' || reason === 'length') return reason;
  return reason === 'content_filter' ? 'content-filter' : 'other';
}
