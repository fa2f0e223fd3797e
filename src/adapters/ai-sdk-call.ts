import {
  fencedPrompt,
  fenceProfile,
  type InferenceResult,
  type PersonalizedAgentOptions,
  type ProfileStore,
  type PromptBuilder,
  type PromptContext,
  type TurnRequest,
  type TurnResult,
} from '../agent/index';
import {
  type AiSdkCallOptions,
  type AiSdkContent,
  type AiSdkFinishReason,
  type AiSdkLanguageModel,
  type AiSdkUsage,
  aiSdkChat,
  aiSdkFinishReason,
  aiSdkMessage,
  aiSdkText,
  aiSdkUsage,
  estimateUsage,
} from '../chat/index';
import { RlpaError } from '../errors';
import type { ProfileSchema, SlotMap } from '../profile/index';
import { latestUserText, withOwnAnswers, withoutFrames, withSystemText } from './ai-sdk-prompt';
import { OutsideTurn } from './outside-turn';
import { FramedReply, PlainReply, type ReplyReader } from './reply-reader';

/** What of an agent and of a turn is said to the middleware; the rest the AI SDK says with each call. */
export interface PersonalizedOptions<S extends SlotMap = SlotMap>
  extends Omit<PersonalizedAgentOptions<S>, 'model' | 'form' | 'prices'>,
    Omit<TurnRequest, 'message' | 'signal'> {
  /** Where the profiles are kept. A `PersonalizedAgent` over the same store reads, edits, exports and erases them. */
  readonly store: ProfileStore;
  /** Whose profile it is. A middleware costs nothing: make one for each request. */
  readonly userId: string;
  /** What the model is to do with what it knows. The application's own system message stays in front of it. */
  readonly instruction?: string | undefined;
  /**
   * What the model reads, made of the stored turns, instead of the application's own messages with the profile added to their system
   * message: a trained policy needs the prompt that it was trained on.
   */
  readonly prompt?: PersonalizedAgentOptions<S>['prompt'] | undefined;
  /** Told of what was inferred after a reply, with `mode: 'after-reply'`. */
  readonly onInferred?: ((result: InferenceResult<S>) => void) | undefined;
  /** How long an answer may take and still be learned from, in milliseconds; default five minutes. What runs after it has as long again. */
  readonly timeoutMs?: number | undefined;
}

/** What the result of a call tells under the provider `rlpa`. Plain JSON. */
export type ProfileMetadata = Pick<TurnResult, 'messageId' | 'changes' | 'rejected' | 'problem' | 'repaired' | 'usage'> & {
  /** Slot to value or values, after the turn. Without the sensitive slots for which the call has no consent. */
  readonly profile: Readonly<Record<string, unknown>>;
};

/** What a call generated, as far as the profile is learned from it. */
interface Generated {
  readonly text: string;
  readonly usage: AiSdkUsage | undefined;
  readonly finishReason: AiSdkFinishReason | undefined;
}

export interface Learned {
  /** Absent where nothing could be learned. Other than what the model wrote only where that held none and was repaired. */
  readonly reply?: string;
  readonly metadata: { readonly rlpa: Partial<ProfileMetadata> };
}

const defaultInstruction = 'Let what you know about the user shape your answers, without reciting it.';

/** One call of a wrapped model. */
export class PersonalizedCall<S extends SlotMap> {
  /** What the model is called with. */
  readonly params: AiSdkCallOptions;
  /**
   * Whether the answer has the form from which the profile is learned. JSON that the application asks for has not, and neither has an
   * answer to a message without text: these read the profile and leave it as it is.
   */
  readonly learns: boolean;
  /** Reads the answer. */
  readonly reply: ReplyReader;
  readonly #turn: OutsideTurn<S>;

  private constructor(params: AiSdkCallOptions, learns: boolean, reply: ReplyReader, turn: OutsideTurn<S>) {
    this.params = params;
    this.learns = learns;
    this.reply = reply;
    this.#turn = turn;
  }

  /** Reads the profile. @throws `store-failed`, `invalid-option`, `timeout`; for an aborted call what its signal says */
  static async begin<S extends SlotMap>(
    { userId, sessionId, consent, timeoutMs = 300_000, onInferred, ...options }: PersonalizedOptions<S>,
    model: AiSdkLanguageModel,
    params: AiSdkCallOptions,
  ): Promise<PersonalizedCall<S>> {
    const { responseFormat, abortSignal: signal } = params;
    const text = latestUserText(params.prompt);
    const learns = text !== undefined && responseFormat?.type !== 'json';
    const prompt = options.prompt ?? fencedPrompt({ instruction: options.instruction ?? defaultInstruction });
    const request = { userId, sessionId, consent, timeoutMs, signal, message: text ?? '(no text)' };
    const outside = { agent: { ...options, prompt }, asking: () => aiSdkChat(model), onInferred };
    const turn = await OutsideTurn.begin(outside, request).catch((error: unknown) => {
      throw sdkError(error, signal);
    });
    if (!learns) turn.drop();
    const plain = withoutFrames(params.prompt);
    const isAlone = options.mode === 'after-reply';
    const personal = !learns
      ? withSystemText(plain, knowledgeIn(prompt, turn.context))
      : options.prompt
        ? turn.messages.map(aiSdkMessage)
        : withSystemText(isAlone ? plain : withOwnAnswers(plain, turn.context.turns), turn.messages[0]!.content);
    const reply = isAlone ? new PlainReply() : new FramedReply(options.schema as unknown as ProfileSchema);
    return new PersonalizedCall({ ...params, prompt: personal }, learns, reply, turn);
  }

  /** Learns from the answer. What prevents that never costs the reply: it is told as a problem. @throws for an aborted call what its signal says */
  async learn({ text, usage, finishReason }: Generated): Promise<Learned> {
    const { prompt, abortSignal } = this.params;
    const messages = prompt.map(({ content }) => ({ content: aiSdkText(content) }));
    const counted = aiSdkUsage(usage) ?? estimateUsage({ messages }, text);
    try {
      const turn = await this.#turn.finish({ text, usage: counted, finishReason: aiSdkFinishReason(finishReason) });
      const { profile, messageId, changes, rejected, problem, repaired } = turn;
      const metadata: ProfileMetadata = {
        messageId,
        profile: profile.toJSON(),
        changes,
        rejected,
        problem,
        repaired,
        usage: turn.usage,
      };
      return { reply: turn.reply, metadata: { rlpa: JSON.parse(JSON.stringify(metadata)) } };
    } catch (error) {
      if (!RlpaError.isInstance(error) || error.code === 'aborted') throw sdkError(error, abortSignal);
      return { metadata: { rlpa: { problem: { code: 'not-stored', message: error.message } } } };
    }
  }

  /** Ends the call as if it had not been. Does nothing to one that was learned from. */
  drop(): void {
    this.#turn.drop();
  }
}

/** What a call throws: where it was aborted, what its signal says, by which the SDK knows an abort, and which a model throws too. */
function sdkError(error: unknown, signal: AbortSignal | undefined): unknown {
  return signal?.aborted && RlpaError.isInstance(error) && error.code === 'aborted' ? signal.reason : error;
}

/** What the prompt says of the user to a model that is not to write turns. A prompt for policies can ask for nothing else. */
function knowledgeIn(prompt: PromptBuilder, context: PromptContext): string {
  if (prompt.wholeTurnsOnly) return fenceProfile(context.profile, context.omitted);
  return prompt({ ...context, form: 'reply' })[0]!.content;
}

/** The application is to run a tool: the answer is not over yet, and the next call goes on with it. */
export function callsTool({ type, providerExecuted }: AiSdkContent & { readonly providerExecuted?: boolean }): boolean {
  return (type === 'tool-call' || type === 'tool-input-start') && !providerExecuted;
}

/** The model says that it did not come to an end. */
export function isFailure({ finishReason }: { readonly finishReason?: AiSdkFinishReason }): boolean {
  return (typeof finishReason === 'object' ? finishReason.unified : finishReason) === 'error';
}
