import { type ChatModel, type ChatPart, type ChatRequest, type ChatResult, StopStrings } from '../chat/index';
import { waitFor } from '../deadline';
import { checkKnown, RlpaError } from '../errors';
import { Random } from '../random';
import type { LocalPolicy } from './local-policy';
import { checkSampling } from './local-policy-options';

export interface LocalChatModelOptions {
  /** Seeds the calls that come without a seed, each by its number; by default they differ from run to run. */
  readonly seed?: number | undefined;
  /** Of requests that name none; by default the policy's own. 0 takes the most likely token everywhere. */
  readonly temperature?: number | undefined;
  /**
   * Least milliseconds between two pieces of a streamed text; default 50. A token that comes sooner is shown with the next, for to show it costs
   * more than to sample it; 0 shows each token.
   */
  readonly pieceMs?: number | undefined;
}

/**
 * A local policy behind the interface that agents speak. Calls are batched while they run; stop strings cut the text where they first appear.
 */
export function localChatModel(policy: LocalPolicy, options: LocalChatModelOptions): ChatModel {
  checkKnown('LocalPolicy.asChatModel', options, { seed: true, temperature: true, pieceMs: true });
  const { seed, temperature: usual = policy.temperature, pieceMs = 50 } = options;
  checkSampling({ temperature: usual });
  const seeds = new Random(seed ?? globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!);
  let calls = 0;

  /** Begins to sample; `stop` ends it, and so does a token that `isEnd` says so of. */
  function begin(request: ChatRequest, isEnd?: (token: number) => boolean) {
    const { temperature = usual } = request;
    const prompt = policy.encodePrompt(request.messages);
    const call = new AbortController();
    const sampling = policy.sampleAlongside({
      prompt,
      seed: request.seed ?? seeds.split('call', calls++).uint32(),
      signal: call.signal,
      temperature,
      ...(request.maxTokens !== undefined && { maxNewTokens: request.maxTokens }),
      ...(request.topP !== undefined && { limits: { topP: request.topP } }),
      isEnd,
    });
    const { timeoutMs = Number.POSITIVE_INFINITY, signal } = request;
    const sample = waitFor('The answer', timeoutMs, signal, sampling, (error) => call.abort(error));
    return { inputTokens: prompt.length, sample, stop: () => call.abort() };
  }

  async function* stream(request: ChatRequest): AsyncIterable<ChatPart> {
    const decoder = policy.tokenizer.stream({ skipSpecial: true });
    const stops = new StopStrings(request.stop ?? []);
    let ready = '';
    let outputTokens = 0;
    let wake = () => {};
    let isDone = false;
    let shownAt = Number.NEGATIVE_INFINITY;
    const isDue = () => ready !== '' && performance.now() - shownAt >= pieceMs;
    const { inputTokens, sample, stop } = begin(request, (token) => {
      outputTokens++;
      ready += stops.take(decoder.push(token));
      if (isDue()) wake();
      return stops.found;
    });
    const done = () => {
      isDone = true;
      wake();
    };
    sample.then(done, done);
    let text = '';
    const show = function* (): Iterable<ChatPart> {
      const piece = ready;
      ready = '';
      shownAt = performance.now();
      text += piece;
      if (piece) yield { type: 'text', text: piece };
    };
    try {
      while (!isDone) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (isDone || isDue()) resolve();
        });
        if (!isDone) yield* show();
      }
      const { finishReason, cached } = await sample;
      if (!stops.found) ready += stops.take(decoder.end()) + stops.rest();
      yield* show();
      yield {
        type: 'finish',
        text,
        usage: { inputTokens, outputTokens, cachedInputTokens: cached },
        finishReason: stops.found ? 'stop' : finishReason,
      };
    } finally {
      if (!isDone) stop();
    }
  }

  async function generate(request: ChatRequest): Promise<ChatResult> {
    if (!request.stop?.length) {
      const { inputTokens, sample } = begin(request);
      const { completion, finishReason, cached } = await sample;
      const usage = { inputTokens, outputTokens: completion.length, cachedInputTokens: cached };
      return { text: policy.decode({ completion, finishReason }), usage, finishReason };
    }
    for await (const part of stream(request)) {
      if (part.type === 'finish') {
        const { type: _, ...result } = part;
        return result;
      }
    }
    throw new RlpaError('model-failed', 'The policy ended without a result.');
  }

  return { name: policy.name, structuredOutput: false, generate, stream };
}
