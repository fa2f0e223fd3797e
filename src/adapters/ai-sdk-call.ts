import { fencedPrompt, fenceProfile, type PromptBuilder, type TurnResult } from '../agent/index';
import { type AiSdkCallOptions, type AiSdkContent, type AiSdkFinishReason, type AiSdkUsage, aiSdkMessage, aiSdkUsage } from '../chat/index';
import { RlpaError } from '../errors';
import type { SlotMap } from '../profile/index';
import { latestUserText, withOwnAnswers, withoutFrames, withSystemText } from './ai-sdk-prompt';
import { OutsideTurn, type OutsideTurnOptions } from './outside-turn';

/** What the result of a call tells under the provider `rlpa`. Plain JSON. */
export type ProfileMetadata = Pick<TurnResult, 'messageId' | 'changes' | 'rejected' | 'problem'> & {
  /** Slot to value or values, after the turn. */
  readonly profile: Readonly<Record<string, unknown>>;
};

/** What a call generated, as far as the profile is learned from it. */
interface Generated {
  readonly text: string;
  readonly usage: AiSdkUsage | undefined;
}

export interface PersonalizedCallOptions<S extends SlotMap> extends Omit<OutsideTurnOptions<S>, 'prompt'> {
  readonly prompt?: PromptBuilder;
}

const instruction = 'Let what you know about the user shape your answers, without reciting it.';

/** One call of a wrapped model. */
export class PersonalizedCall<S extends SlotMap> {
  /** What the model is called with. */
  readonly params: AiSdkCallOptions;
  /**
   * Whether the answer has the form from which the profile is learned. JSON that the application asks for has not, and neither has an
   * answer to a message without text: these read the profile and leave it as it is.
   */
  readonly learns: boolean;
  readonly #turn: OutsideTurn<S>;

  private constructor(params: AiSdkCallOptions, learns: boolean, turn: OutsideTurn<S>) {
    this.params = params;
    this.learns = learns;
    this.#turn = turn;
  }

  /** Reads the profile. @throws `store-failed`, `invalid-option`, `timeout`, `aborted` */
  static async begin<S extends SlotMap>(options: PersonalizedCallOptions<S>, params: AiSdkCallOptions): Promise<PersonalizedCall<S>> {
    const { responseFormat, abortSignal } = params;
    const message = latestUserText(params.prompt);
    const learns = message !== undefined && responseFormat?.type !== 'json';
    const prompt = options.prompt ?? fencedPrompt({ instruction });
    const turn = await OutsideTurn.begin({ ...options, prompt }, message ?? '(no text)', abortSignal);
    if (!learns) turn.drop();
    const { profile, omitted, turns } = turn.context;
    const plain = withoutFrames(params.prompt);
    const personal = !learns
      ? withSystemText(plain, `${instruction}\n\n${fenceProfile(profile, omitted)}`)
      : options.prompt
        ? turn.messages.map(aiSdkMessage)
        : withSystemText(withOwnAnswers(plain, turns), turn.messages[0]!.content);
    return new PersonalizedCall({ ...params, prompt: personal }, learns, turn);
  }

  /** Learns from the answer. What prevents that never costs the reply: it is told as a problem. @throws `aborted` */
  async learn({ text, usage }: Generated): Promise<{ readonly rlpa: Partial<ProfileMetadata> }> {
    const counted = aiSdkUsage(usage) ?? { inputTokens: 0, outputTokens: 0 };
    try {
      const { messageId, profile, changes, rejected, problem } = await this.#turn.finish({ text, usage: counted, finishReason: 'stop' });
      const metadata: ProfileMetadata = { messageId, profile: profile.toJSON(), changes, rejected, ...(problem && { problem }) };
      return { rlpa: JSON.parse(JSON.stringify(metadata)) };
    } catch (error) {
      if (!RlpaError.isInstance(error) || error.code === 'aborted') throw error;
      return { rlpa: { problem: { code: 'not-stored', message: error.message } } };
    }
  }

  /** Ends the call as if it had not been. Does nothing to one that was learned from. */
  drop(): void {
    this.#turn.drop();
  }
}

/** The application is to run a tool: the answer is not over yet, and the next call goes on with it. */
export function callsTool({ type, providerExecuted }: AiSdkContent & { readonly providerExecuted?: boolean }): boolean {
  return (type === 'tool-call' || type === 'tool-input-start') && !providerExecuted;
}

/** The model says that it did not come to an end. */
export function isFailure({ finishReason }: { readonly finishReason?: AiSdkFinishReason }): boolean {
  return (typeof finishReason === 'object' ? finishReason.unified : finishReason) === 'error';
}
