import type { ChatModel, ChatPart, ChatRequest, ChatResult } from '../chat/index';
import { RlpaError } from '../errors';
import type { LocalPolicy } from './local-policy';

let calls = 0;

/** A local policy behind the interface that agents speak. Stop strings cut the text where they first appear. */
export function localChatModel(policy: LocalPolicy): ChatModel {
  const stream = async function* (request: ChatRequest): AsyncIterable<ChatPart> {
    const owner = `chat ${calls++}`;
    const prompt = policy.encodePrompt(request.messages);
    const decoder = policy.tokenizer.stream({ skipSpecial: true });
    const arrived: string[] = [];
    let wake = () => {};
    const deadline = request.timeoutMs === undefined ? undefined : AbortSignal.timeout(request.timeoutMs);
    const signals = [request.signal, deadline].filter((signal) => signal !== undefined);
    const enough = new AbortController();
    const signal = AbortSignal.any([...signals, enough.signal]);
    let done = false;
    const sampling = policy
      .sample([{ owner, prompt, seed: request.seed ?? 0 }], {
        signal,
        greedy: request.temperature === 0,
        ...(request.temperature ? { temperature: request.temperature } : {}),
        ...(request.maxTokens === undefined ? {} : { maxNewTokens: request.maxTokens }),
        ...(request.topP === undefined ? {} : { limits: { topP: request.topP } }),
        onToken: (_, token) => {
          arrived.push(decoder.push(token));
          wake();
        },
      })
      .finally(() => {
        done = true;
        wake();
      });
    sampling.catch(() => undefined);
    let text = '';
    let sent = 0;
    let stopped = false;
    try {
      while (!stopped) {
        if (arrived.length === 0) {
          if (done) break;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        text += arrived.splice(0).join('');
        const { end, safe } = untilStop(text, request.stop ?? []);
        if (end !== undefined) {
          text = text.slice(0, end);
          stopped = true;
        }
        const ready = stopped ? text.length : safe;
        if (ready > sent) {
          yield { type: 'text', text: text.slice(sent, ready) };
          sent = ready;
        }
      }
      if (stopped) {
        yield {
          type: 'finish',
          text,
          usage: { inputTokens: prompt.length, outputTokens: policy.tokenizer.encode(text).length },
          finishReason: 'stop',
        };
        return;
      }
      const [sample] = await sampling;
      text += decoder.end();
      if (text.length > sent) yield { type: 'text', text: text.slice(sent) };
      const usage = { inputTokens: prompt.length, outputTokens: sample!.completion.length };
      yield { type: 'finish', text, usage, finishReason: sample!.finishReason };
    } catch (error) {
      if (deadline?.aborted && !request.signal?.aborted) {
        throw new RlpaError('timeout', `The policy did not answer within ${request.timeoutMs} ms.`, {}, { cause: error });
      }
      throw error;
    } finally {
      enough.abort();
      policy.release([owner]);
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

/** Where the first stop string begins, and how much of the text can't become the beginning of one. */
function untilStop(text: string, stops: readonly string[]): { readonly end?: number; readonly safe: number } {
  const ends = stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
  if (ends.length > 0) return { end: Math.min(...ends), safe: 0 };
  let held = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > held; length--)
      if (text.endsWith(stop.slice(0, length))) held = length;
  }
  return { safe: text.length - held };
}
