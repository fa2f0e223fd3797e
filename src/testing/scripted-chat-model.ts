import type { ChatModel, ChatPart, ChatRequest, ChatResult } from '../chat/index';
import { abortedError, checkKnown, RlpaError, throwIfAborted } from '../errors';
import { words } from '../language/index';

export interface ScriptedChatModelOptions {
  readonly name?: string | undefined;
  /** Default false. */
  readonly structuredOutput?: boolean | undefined;
  /** Characters in each streamed text part; default 8. */
  readonly chunkSize?: number | undefined;
}

export interface ScriptedChatModel extends ChatModel {
  /** Every request that came, in order. */
  readonly requests: readonly ChatRequest[];
}

/**
 * A chat model that says what a test tells it to: the next line of a list, or what a function answers. Usage counts words. A list
 * that has come to its end throws `model-failed`; what the function throws is passed on.
 *
 * @example
 * import { scriptedChatModel } from 'rlpa/testing';
 * const model = scriptedChatModel(['Hello!', 'A nurse. Where do you live?']);
 * await model.generate({ messages: [{ role: 'user', content: 'Hi' }] }); // text: 'Hello!'
 * model.requests[0]?.messages;
 */
export function scriptedChatModel(
  script: readonly string[] | ((request: ChatRequest) => string | Promise<string>),
  options: ScriptedChatModelOptions = {},
): ScriptedChatModel {
  checkKnown('scriptedChatModel', options, { name: true, structuredOutput: true, chunkSize: true });
  const { name = 'scripted', structuredOutput = false, chunkSize = 8 } = options;
  const requests: ChatRequest[] = [];

  async function answer(request: ChatRequest): Promise<ChatResult> {
    throwIfAborted(request.signal);
    requests.push(request);
    const text = await untilAborted(nextText(request, requests.length), request.signal);
    const inputTokens = request.messages.reduce((sum, message) => sum + words(message.content).length, 0);
    return { text, usage: { inputTokens, outputTokens: words(text).length }, finishReason: 'stop' };
  }

  async function nextText(request: ChatRequest, count: number): Promise<string> {
    if (typeof script === 'function') return script(request);
    const text = script[count - 1];
    if (text === undefined) throw new RlpaError('model-failed', `The script has ${script.length} answers; this was request ${count}.`);
    return text;
  }

  return {
    name,
    structuredOutput,
    requests,
    generate: answer,
    async *stream(request: ChatRequest): AsyncIterable<ChatPart> {
      const result = await answer(request);
      for (let start = 0; start < result.text.length; start += chunkSize) {
        throwIfAborted(request.signal);
        yield { type: 'text', text: result.text.slice(start, start + chunkSize) };
      }
      yield { type: 'finish', ...result };
    },
  };
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(abortedError(signal));
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
