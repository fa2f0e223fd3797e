import type { AiSdkStreamPart } from '../chat/index';
import type { SlotMap } from '../profile/index';
import { callsTool, isFailure, type Learned, type PersonalizedCall } from './ai-sdk-call';
import type { ReplyReader } from './reply-reader';

interface TextPart extends AiSdkStreamPart {
  readonly providerMetadata?: object;
}

/**
 * A model's stream with the reply as its only text, in one block; everything else passes as it comes. The last part tells what became of
 * the profile. A stream that fails, is cancelled or ends in a call of a tool changes nothing.
 */
export function personalStream<S extends SlotMap>(
  stream: ReadableStream<AiSdkStreamPart>,
  call: PersonalizedCall<S>,
): ReadableStream<AiSdkStreamPart> {
  const parts = stream.getReader();
  const answer = new PersonalAnswer(call);
  return new ReadableStream({
    async pull(controller) {
      for (;;) {
        const next = await parts.read().catch((error: unknown) => {
          call.drop();
          throw error;
        });
        if (next.done) {
          call.drop();
          return controller.close();
        }
        let any = false;
        for await (const part of answer.take(next.value)) {
          controller.enqueue(part);
          any = true;
        }
        if (any) return;
      }
    },
    async cancel(reason) {
      call.drop();
      await parts.cancel(reason);
    },
  });
}

/** Turns the parts that a model streams into those that are passed on. */
class PersonalAnswer<S extends SlotMap> {
  readonly #call: PersonalizedCall<S>;
  readonly #reply: ReplyReader;
  /** The parts around the model's first text and its last one, which may carry metadata. */
  #first: TextPart | undefined;
  #last: TextPart | undefined;
  #open = false;
  /** The answer goes on after this call, or has failed: nothing is learned. */
  #unfinished = false;

  constructor(call: PersonalizedCall<S>) {
    this.#call = call;
    this.#reply = call.reply;
  }

  get #id(): string {
    return this.#first?.id ?? 'reply';
  }

  async *take(part: AiSdkStreamPart): AsyncGenerator<AiSdkStreamPart, void> {
    switch (part.type) {
      case 'text-start':
        this.#first ??= part;
        return;
      case 'text-delta': {
        const certain = this.#reply.push(part.delta ?? '');
        if (!this.#unfinished) yield* this.#show(certain);
        return;
      }
      case 'text-end':
        this.#last = part;
        return;
      case 'finish': {
        yield* this.#show(this.#reply.rest());
        const { reply = '', metadata } = await this.#learned(part);
        if (!this.#open) yield* this.#show(reply);
        yield* this.#end();
        const { providerMetadata } = part as TextPart;
        yield metadata ? ({ ...part, providerMetadata: { ...providerMetadata, ...metadata } } as AiSdkStreamPart) : part;
        return;
      }
      case 'error':
        this.#unfinished = true;
        break;
      default:
        if (this.#unfinished || !callsTool(part)) break;
        this.#unfinished = true;
        yield* this.#show(this.#reply.rest()); // what was said goes before what is done
    }
    yield part;
  }

  async #learned(finish: AiSdkStreamPart): Promise<Partial<Learned>> {
    if (this.#unfinished || isFailure(finish)) return {};
    return this.#call.learn({ text: this.#reply.text, usage: finish.usage, finishReason: finish.finishReason });
  }

  #show(text: string): AiSdkStreamPart[] {
    if (text === '') return [];
    const delta = { type: 'text-delta', id: this.#id, delta: text };
    if (this.#open) return [delta];
    this.#open = true;
    return [this.#first ?? { type: 'text-start', id: this.#id }, delta];
  }

  /** Without the model's citations, which count characters of the whole answer. */
  #end(): AiSdkStreamPart[] {
    if (!this.#open) return [];
    const { providerMetadata } = this.#last ?? {};
    return [{ type: 'text-end', id: this.#id, ...(providerMetadata && { providerMetadata }) } as AiSdkStreamPart];
  }
}
