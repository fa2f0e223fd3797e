import { type ProfileSchema, TurnStream } from '../profile/index';

/** Reads an answer in the text form while it is written: what of it the user may see. */
export class ReplyReader {
  readonly #turn: TurnStream;
  #shown = '';

  constructor(schema: ProfileSchema) {
    this.#turn = new TurnStream(schema);
  }

  /** The whole answer so far. */
  get text(): string {
    return this.#turn.text;
  }

  /** What of the reply is certain now and was not before. */
  push(text: string): string {
    const certain = this.#turn.push(text);
    this.#shown += certain;
    return certain;
  }

  /** What else is the reply if nothing more comes; of an answer that does not keep its form, what can be shown of it. */
  rest(): string {
    const { reply = '' } = this.#turn.end();
    if (!reply.startsWith(this.#shown)) return '';
    const rest = reply.slice(this.#shown.length);
    this.#shown = reply;
    return rest;
  }
}
