import { type ChatModel, type ChatPart, type ChatRequest, type ChatResult, StopStrings } from '../chat/index';
import { RlpaError } from '../errors';
import { Random } from '../random';
import type { LocalPolicy } from './local-policy';

/** A local policy behind the interface that agents speak. Calls are batched while they run; stop strings cut the text where they first appear. */
export function localChatModel(policy: LocalPolicy, { seed }: { readonly seed?: number } = {}): ChatModel {
  const seeds = new Random(seed ?? globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!);
  let calls = 0;
  const stream = async function* (request: ChatRequest): AsyncIterable<ChatPart> {
    const prompt = policy.encodePrompt(request.messages);
    const decoder = policy.tokenizer.stream({ skipSpecial: true });
    const stops = new StopStrings(request.stop ?? []);
    const deadline = request.timeoutMs === undefined ? undefined : AbortSignal.timeout(request.timeoutMs);
    const enough = new AbortController();
    let arrived = '';
    let outputTokens = 0;
    let wake = () => {};
    let isDone = false;
    const sampling = policy
      .sampleAlongside({
        prompt,
        seed: request.seed ?? seeds.split('call', calls++).uint32(),
        signal: AbortSignal.any([request.signal, deadline, enough.signal].filter((signal) => signal !== undefined)),
        greedy: request.temperature === 0,
        ...(request.temperature && { temperature: request.temperature }),
        ...(request.maxTokens !== undefined && { maxNewTokens: request.maxTokens }),
        ...(request.topP !== undefined && { limits: { topP: request.topP } }),
        onToken: (token) => {
          outputTokens++;
          arrived += decoder.push(token);
          wake();
        },
      })
      .finally(() => {
        isDone = true;
        wake();
      });
    sampling.catch(() => undefined);
    let text = '';
    const show = function* (ready: string): Iterable<ChatPart> {
      text += ready;
      if (ready) yield { type: 'text', text: ready };
    };
    try {
      while (!isDone && !stops.found) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (isDone || arrived) resolve();
        });
        const piece = arrived;
        arrived = '';
        yield* show(stops.take(piece));
      }
      if (stops.found) {
        yield { type: 'finish', text, usage: { inputTokens: prompt.length, outputTokens }, finishReason: 'stop' };
        return;
      }
      const { finishReason } = await sampling;
      yield* show(stops.take(arrived + decoder.end()));
      yield* show(stops.rest());
      yield {
        type: 'finish',
        text,
        usage: { inputTokens: prompt.length, outputTokens },
        finishReason: stops.found ? 'stop' : finishReason,
      };
    } catch (error) {
      if (deadline?.aborted && !request.signal?.aborted) {
        throw new RlpaError('timeout', `The policy did not answer within ${request.timeoutMs} ms.`, {}, { cause: error });
      }
      throw error;
    } finally {
      enough.abort();
    }
  };
  return {
    name: policy.name,
    structuredOutput: false,
    stream,
    async generate(request: ChatRequest): Promise<ChatResult> {
      for await (const part of stream(request)) {
        if (part.type === 'finish') {
          const { type: _, ...result } = part;
          return result;
        }
      }
      throw new RlpaError('model-failed', 'The policy ended without a result.');
    },
  };
}
