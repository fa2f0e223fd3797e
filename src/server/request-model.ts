import type { ChatModel, ChatRequest, ChatResult } from '../chat/index';

export type SamplingOptions = Pick<ChatRequest, 'temperature' | 'topP' | 'maxTokens' | 'seed'>;

/** A model as one request wants it sampled. */
export class RequestModel implements ChatModel {
  readonly name: string;
  readonly structuredOutput: boolean;
  readonly #model: ChatModel;
  readonly #sampling: SamplingOptions;

  constructor(model: ChatModel, sampling: SamplingOptions) {
    this.name = model.name;
    this.structuredOutput = model.structuredOutput;
    this.#model = model;
    this.#sampling = sampling;
  }

  generate(request: ChatRequest): Promise<ChatResult> {
    return this.#model.generate({ ...request, ...this.#sampling });
  }

  stream(request: ChatRequest): ReturnType<ChatModel['stream']> {
    return this.#model.stream({ ...request, ...this.#sampling });
  }
}
