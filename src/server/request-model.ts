import type { ChatModel, ChatRequest, ChatResult } from '../chat/index';

export type SamplingOptions = Pick<ChatRequest, 'temperature' | 'topP' | 'maxTokens' | 'seed'>;

/** A model as one request wants it sampled, which remembers how its answer ended. */
export class RequestModel implements ChatModel {
  readonly name: string;
  readonly structuredOutput: boolean;
  finishReason: ChatResult['finishReason'] = 'stop';
  readonly #model: ChatModel;
  readonly #sampling: SamplingOptions;

  constructor(model: ChatModel, sampling: SamplingOptions) {
    this.name = model.name;
    this.structuredOutput = model.structuredOutput;
    this.#model = model;
    this.#sampling = sampling;
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    const result = await this.#model.generate({ ...request, ...this.#sampling });
    this.finishReason = result.finishReason;
    return result;
  }

  async *stream(request: ChatRequest): ReturnType<ChatModel['stream']> {
    for await (const part of this.#model.stream({ ...request, ...this.#sampling })) {
      if (part.type === 'finish') this.finishReason = part.finishReason;
      yield part;
    }
  }
}
