import { afterReplyOf, checkStore, type WaitOptions } from '../agent/index';
import {
  type AiSdkCallOptions,
  type AiSdkContent,
  type AiSdkGeneration,
  type AiSdkLanguageModel,
  type AiSdkStream,
  aiSdkText,
} from '../chat/index';
import { checkKnown, invalidOption } from '../errors';
import type { SlotMap } from '../profile/index';
import { callsTool, isFailure, PersonalizedCall, type PersonalizedOptions } from './ai-sdk-call';
import { personalStream } from './ai-sdk-stream';

interface WrappedCall {
  readonly model: AiSdkLanguageModel;
  readonly params: AiSdkCallOptions;
}

const known = {
  schema: true,
  store: true,
  userId: true,
  sessionId: true,
  consent: true,
  instruction: true,
  prompt: true,
  mode: true,
  onInferred: true,
  repair: true,
  timeoutMs: true,
  maxHistory: true,
  maxSessions: true,
  promptBudget: true,
  migrations: true,
  now: true,
  generateId: true,
  signal: true,
} satisfies Record<keyof PersonalizedOptions, true>;

/** Fits `wrapLanguageModel` of the AI SDK 5, 6 and 7. */
export interface AiSdkMiddleware {
  readonly specificationVersion: 'v3';
  wrapGenerate<R extends AiSdkGeneration>(call: WrappedCall & { readonly doGenerate: () => PromiseLike<R> }): Promise<R>;
  wrapStream<R extends AiSdkStream>(call: WrappedCall & { readonly doStream: () => PromiseLike<R> }): Promise<R>;
  /**
   * Waits until what runs after the user's replies has ended (`mode: 'after-reply'`), well or with a `problem`: where a program may be stopped
   * after the response was sent. A reply counts as given when its last part has come.
   *
   * @throws `timeout`, `aborted`; what is waited for goes on.
   */
  settled(options?: WaitOptions): Promise<void>;
}

/**
 * The agent as a middleware of the Vercel AI SDK: the wrapped model reads the user's profile in its system message, and every answer,
 * streamed or not, updates the profile from what the user said, by the same one call of the model. The application gets the reply alone;
 * `providerMetadata.rlpa` of the result tells the profile after the turn, its changes, what was rejected, what went wrong and what the calls cost.
 *
 * With `mode: 'after-reply'` the model is asked for the reply alone, and for the profile by a second call that nobody waits for.
 *
 * Answers in steps, with tools in between, are learned from when they are complete. Calls that ask for JSON read the profile and do not
 * change it. What goes wrong with the profile once the model was asked never costs the reply.
 *
 * @throws `invalid-option` at once for an empty `userId`, without a store, and for an option that it has not; from calls `store-failed` where
 * the profile cannot be read, what the model throws, and for an aborted call its signal's own reason.
 * @example
 * import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
 * import { streamText, wrapLanguageModel } from 'ai';
 * import { memoryStore, personalized, ProfileSchema } from 'rlpa';
 * const ollama = createOpenAICompatible({ name: 'ollama', baseURL: 'http://localhost:11434/v1' });
 * const middleware = personalized({ schema: ProfileSchema.standard, store: memoryStore(), userId: 'u1' });
 * const model = wrapLanguageModel({ model: ollama('qwen2.5:3b'), middleware });
 * const { textStream } = streamText({ model, prompt: 'Night shift again, the ward was full.' });
 */
export function personalized<S extends SlotMap>(options: PersonalizedOptions<S>): AiSdkMiddleware {
  checkKnown('personalized', options, known);
  const { store, userId } = options;
  checkStore('personalized', store);
  if (typeof userId !== 'string' || userId.trim() === '') throw invalidOption('personalized', 'userId', 'text that is not empty', userId);
  return {
    specificationVersion: 'v3',

    async wrapGenerate<R extends AiSdkGeneration>({ model, params }: WrappedCall): Promise<R> {
      const call = await PersonalizedCall.begin(options, model, params);
      try {
        const generation = (await model.doGenerate(call.params)) as R & { readonly providerMetadata?: object };
        if (!call.learns) return generation;
        const text = aiSdkText(generation.content);
        const shown = call.reply.push(text) + call.reply.rest();
        if (generation.content.some(callsTool) || isFailure(generation)) {
          return { ...generation, content: withReply(generation.content, shown) };
        }
        const { reply = '', metadata } = await call.learn({ ...generation, text });
        return {
          ...generation,
          content: withReply(generation.content, shown || reply),
          providerMetadata: { ...generation.providerMetadata, ...metadata },
        };
      } finally {
        call.drop();
      }
    },

    async wrapStream<R extends AiSdkStream>({ model, params }: WrappedCall): Promise<R> {
      const call = await PersonalizedCall.begin(options, model, params);
      try {
        const answer = (await model.doStream(call.params)) as R;
        return call.learns ? { ...answer, stream: personalStream(answer.stream, call) } : answer;
      } catch (error) {
        call.drop();
        throw error;
      }
    },

    settled: (limits = {}) => afterReplyOf(store).settled(userId, limits),
  };
}

/** The reply in the place of the model's first text, or at the end where it wrote none. Citations of the text go, for they count characters of the whole answer. */
function withReply(content: readonly AiSdkContent[], reply: string): AiSdkContent[] {
  const at = content.findIndex(({ type }) => type === 'text');
  const parts = content.flatMap((part, index): AiSdkContent[] => {
    if (part.type !== 'text') return [part];
    if (index !== at || reply === '') return [];
    const { providerMetadata } = part as { readonly providerMetadata?: object };
    return [{ type: 'text', text: reply, ...(providerMetadata && { providerMetadata }) } as AiSdkContent];
  });
  return at < 0 && reply !== '' ? [...parts, { type: 'text', text: reply }] : parts;
}
