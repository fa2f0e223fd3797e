import type { BaseStreamer, TextGenerationPipeline, TextStreamer } from '@huggingface/transformers';
import { checkKnown, invalidOption, RlpaError, throwIfAborted } from '../errors';
import { withoutTelemetry } from '../telemetry';
import type { ChatPart, ChatRequest, ChatResult } from './chat-model';
import { type ChatLimits, chatLimits, type LimitedChatModel, limitedFor } from './limits';
import { StopStrings } from './stop-strings';

export interface TransformersChatOptions extends ChatLimits {
  /** A folder in the layout of transformers.js (`./models/qwen`, with an ONNX file in `onnx/`), or a name on the Hugging Face Hub. */
  readonly model: string;
  /** Where it runs, as transformers.js names it: 'cpu', 'webgpu', 'wasm', 'cuda' … */
  readonly device?: string | undefined;
  /** Precision of the weights, as transformers.js names it: 'fp32', 'fp16', 'q8', 'q4', 'q4f16' … */
  readonly dtype?: string | undefined;
  /** Most tokens of an answer whose request names no number; default 512. */
  readonly maxTokens?: number | undefined;
}

export interface TransformersChatModel extends LimitedChatModel {
  /** Loads the model ahead of the first call, which otherwise waits for it within its own deadline. */
  load(): Promise<void>;
}

/**
 * A model that transformers.js runs in this process or browser tab, by default one call at a time. The package
 * @huggingface/transformers is optional and loaded with the first call. Requests' `seed` is not honoured: transformers.js has none.
 *
 * @throws `invalid-option` at once. Besides the codes of `ChatModel`: `missing-dependency` where the package is not installed, and
 * `invalid-model` where the model cannot be loaded, both from `load` and from calls that load.
 * @example
 * import { transformersChat } from 'rlpa';
 * const model = transformersChat({ model: './models/Qwen2.5-0.5B-Instruct', dtype: 'q4' });
 * await model.load();
 * for await (const part of model.stream({ messages: [{ role: 'user', content: 'Hello!' }], stop: ['\n'] })) {
 *   if (part.type === 'text') console.log(part.text);
 * }
 */
export function transformersChat(options: TransformersChatOptions): TransformersChatModel {
  checkKnown('transformersChat', options, { model: true, device: true, dtype: true, maxTokens: true, ...chatLimits });
  const { model, maxTokens = 512 } = options;
  if (typeof model !== 'string' || model === '') throw invalidOption('transformersChat', 'model', 'a folder or a name', model);
  if (!(Number.isInteger(maxTokens) && maxTokens > 0))
    throw invalidOption('transformersChat', 'maxTokens', 'a whole number of at least 1', maxTokens);
  let loading: Promise<Loaded> | undefined;
  const load = () => {
    loading ??= loadGenerator(options).catch((error) => {
      loading = undefined; // the next call may find the files or the network back
      throw error;
    });
    return loading;
  };

  async function generate(request: ChatRequest): Promise<ChatResult> {
    return run(await load(), request, maxTokens, () => {});
  }

  async function* stream(request: ChatRequest): AsyncIterable<ChatPart> {
    const loaded = await load();
    const pieces: string[] = [];
    let wake = () => {};
    const interruption = new AbortController();
    const signal = request.signal ? AbortSignal.any([request.signal, interruption.signal]) : interruption.signal;
    let result: ChatResult | undefined;
    let over = false;
    const work = run(loaded, { ...request, signal }, maxTokens, (piece) => {
      pieces.push(piece);
      wake();
    })
      .then((value) => {
        result = value;
      })
      .finally(() => {
        over = true;
        wake();
      });
    work.catch(() => {}); // awaited below
    try {
      while (!over || pieces.length > 0) {
        const text = pieces.shift();
        if (text !== undefined) yield { type: 'text', text };
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
      await work;
      yield { type: 'finish', ...result! };
    } finally {
      interruption.abort();
      await work.catch(() => {});
    }
  }

  const core = { name: model, structuredOutput: false, generate, stream };
  const limited = limitedFor('transformersChat', core, { ...options, concurrency: options.concurrency ?? 1 });
  return {
    ...limited,
    get stats() {
      return limited.stats;
    },
    load: async () => void (await load()),
  };
}

interface Loaded {
  readonly generator: TextGenerationPipeline;
  readonly transformers: typeof import('@huggingface/transformers');
}

async function loadGenerator({ model, device, dtype }: TransformersChatOptions): Promise<Loaded> {
  let transformers: typeof import('@huggingface/transformers');
  try {
    withoutTelemetry();
    transformers = await import('@huggingface/transformers');
  } catch (cause) {
    const message =
      'transformersChat needs the package @huggingface/transformers, which is not installed: npm install @huggingface/transformers';
    throw new RlpaError('missing-dependency', message, { package: '@huggingface/transformers' }, { cause });
  }
  try {
    const options = { ...(device && { device }), ...(dtype && { dtype }) } as Parameters<typeof transformers.pipeline>[2];
    const generator = (await transformers.pipeline('text-generation', model, options)) as TextGenerationPipeline;
    return { generator, transformers };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RlpaError('invalid-model', `The text-generation model "${model}" could not be loaded: ${reason}`, { model }, { cause });
  }
}

async function run(loaded: Loaded, request: ChatRequest, defaultMaxTokens: number, onText: (piece: string) => void): Promise<ChatResult> {
  const { generator, transformers } = loaded;
  const { signal, temperature, topP, stop = [], maxTokens = defaultMaxTokens } = request;
  throwIfAborted(signal);
  const interruption = new transformers.InterruptableStoppingCriteria();
  const criteria = new transformers.StoppingCriteriaList();
  criteria.push(interruption);
  const interrupt = () => interruption.interrupt();
  signal?.addEventListener('abort', interrupt, { once: true });

  const stops = new StopStrings(stop);
  let text = '';
  const emit = (piece: string) => {
    if (piece === '') return;
    text += piece;
    onText(piece);
  };
  const words = new transformers.TextStreamer(generator.tokenizer, {
    skip_prompt: true,
    callback_function: (piece) => {
      emit(stops.take(piece));
      if (stops.found) interrupt();
    },
  });
  const counter = new TokenCounter(words);

  try {
    await generator(
      request.messages.map(({ role, content }) => ({ role, content })),
      {
        max_new_tokens: maxTokens,
        streamer: counter as unknown as BaseStreamer,
        stopping_criteria: criteria,
        ...(temperature !== undefined && (temperature > 0 ? { do_sample: true, temperature } : { do_sample: false })),
        ...(topP !== undefined && { top_p: topP }),
      } as Parameters<typeof generator>[1],
    );
  } finally {
    signal?.removeEventListener('abort', interrupt);
  }
  throwIfAborted(signal);
  emit(stops.rest());
  const ended = stops.found || isEndOfText(counter.last, generator);
  return {
    text,
    usage: { inputTokens: counter.inputTokens, outputTokens: counter.outputTokens },
    finishReason: ended ? 'stop' : 'length',
  };
}

/** Counts what passes through to a text streamer: the prompt comes first and at once, then token by token. */
class TokenCounter {
  inputTokens = 0;
  outputTokens = 0;
  last: bigint | undefined;
  readonly #text: TextStreamer;

  constructor(text: TextStreamer) {
    this.#text = text;
  }

  put(value: bigint[][]): void {
    const tokens = value[0] ?? [];
    if (this.inputTokens === 0) this.inputTokens = tokens.length;
    else {
      this.outputTokens += tokens.length;
      this.last = tokens.at(-1);
    }
    this.#text.put(value);
  }

  end(): void {
    this.#text.end();
  }
}

function isEndOfText(token: bigint | undefined, generator: TextGenerationPipeline): boolean {
  const ids = generator.model.generation_config?.eos_token_id ?? generator.tokenizer.eos_token_id ?? [];
  return token !== undefined && [ids].flat().some((id) => BigInt(id as number) === token);
}
