import { setImmediate as othersTurn } from 'node:timers/promises';
import { memoryStore, PersonalizedAgent, type ProfileStore, type PromptBuilder, type TurnPart, type TurnResult } from '../agent/index';
import type { ChatModel } from '../chat/index';
import { RlpaError } from '../errors';
import { formatTurn, type ProfileSchema } from '../profile/index';
import type { CompletionRequest } from './completion-request';
import type { Dialogue } from './dialogue';
import { RequestModel } from './request-model';
import { requestPrompt } from './request-prompt';

export interface CompletionTurnOptions {
  readonly schema: ProfileSchema;
  readonly model: ChatModel;
  readonly prompt?: PromptBuilder;
  readonly store: ProfileStore;
  readonly timeoutMs: number;
}

/** The user of a request that names none. */
const nobody = 'nobody';

/** Earlier turns that are read of a request without a user: as many as an agent keeps of its users. */
const mostReplayed = 20;

/**
 * A request as a turn of an agent. With a user, profile and conversation are the store's, and of the messages only the last one is new;
 * without, the messages are all there is, and nothing is kept.
 */
export class CompletionTurn {
  readonly isStored: boolean;
  readonly #options: CompletionTurnOptions;
  readonly #request: CompletionRequest;
  readonly #dialogue: Dialogue;
  readonly #model: RequestModel;

  constructor(options: CompletionTurnOptions, request: CompletionRequest, dialogue: Dialogue) {
    this.#options = options;
    this.#request = request;
    this.#dialogue = dialogue;
    this.isStored = this.#userId !== undefined;
    const { temperature, top_p, max_completion_tokens, max_tokens, seed } = request;
    const maxTokens = max_completion_tokens ?? max_tokens;
    this.#model = new RequestModel(options.model, {
      ...(temperature != null && { temperature }),
      ...(top_p != null && { topP: top_p }),
      ...(maxTokens != null && { maxTokens }),
      ...(seed != null && { seed }),
    });
  }

  respond(signal: AbortSignal): Promise<TurnResult> {
    return this.#withinContext(async (turns) => (await this.#agent(turns, signal)).respond({ ...this.#turn(), signal }));
  }

  /** Resolves when the reply begins: what goes wrong before that can still be told by the status of the response. */
  async stream(signal: AbortSignal): Promise<AsyncIterable<TurnPart>> {
    const { first, parts } = await this.#withinContext(async (turns) => {
      const parts = (await this.#agent(turns, signal)).stream({ ...this.#turn(), signal });
      return { first: await parts.next(), parts };
    });
    return (async function* () {
      try {
        if (first.done) return;
        yield first.value;
        yield* parts;
      } finally {
        await parts.return();
      }
    })();
  }

  get #userId(): string | undefined {
    return this.#request.rlpa?.userId ?? this.#request.user ?? undefined;
  }

  #turn() {
    const { sessionId, consent } = this.#request.rlpa ?? {};
    return {
      userId: this.#userId ?? nobody,
      message: this.#dialogue.message,
      ...(sessionId != null && this.isStored && { sessionId }),
      ...(consent != null && { consent }),
      timeoutMs: this.#options.timeoutMs,
    };
  }

  /** A conversation that has grown longer than the model can read goes on with fewer of its earlier turns, half as many each time. */
  async #withinContext<T>(attempt: (turns: number) => Promise<T>): Promise<T> {
    for (let turns = 64; ; turns = Math.floor(turns / 2)) {
      try {
        return await attempt(turns);
      } catch (error) {
        if (!this.isStored || turns === 0 || !RlpaError.isInstance(error) || error.details.maxPositions === undefined) throw error;
      }
    }
  }

  async #agent(turns: number, signal: AbortSignal): Promise<PersonalizedAgent> {
    const { schema, prompt, store } = this.#options;
    return new PersonalizedAgent({
      schema,
      model: this.#model,
      prompt: requestPrompt(prompt, this.#dialogue.instruction, turns),
      store: this.isStored ? store : await this.#ownStore(signal),
    });
  }

  /**
   * A store for this request alone, which knows what the messages say: they are turns whose answers are known. A profile that the client
   * sends back with an answer is taken as far as it would have been from the model. Between two turns, other requests get theirs.
   */
  async #ownStore(signal: AbortSignal): Promise<ProfileStore> {
    const { schema } = this.#options;
    const { consent } = this.#turn();
    const store = memoryStore();
    let known = schema.empty();
    for (const { message, reply, profile } of this.#dialogue.turns.slice(-mostReplayed)) {
      if (profile) known = schema.safeProfile(profile).profile;
      const model = new KnownAnswer(formatTurn(known, reply || '…'));
      await new PersonalizedAgent({ schema, model, store, form: 'text', repair: false }).respond({
        userId: nobody,
        message: message || '…',
        consent,
        signal,
      });
      await othersTurn();
    }
    return store;
  }
}

/** Answers what was answered before. */
class KnownAnswer implements ChatModel {
  readonly name = 'known';
  readonly structuredOutput = false;

  constructor(readonly text: string) {}

  async generate() {
    return { text: this.text, usage: { inputTokens: 0, outputTokens: 0 }, finishReason: 'stop' } as const;
  }

  async *stream() {
    yield { type: 'finish', ...(await this.generate()) } as const;
  }
}
