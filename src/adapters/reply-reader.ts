import { ThoughtFilter } from '../agent/index';
import { type ProfileSchema, TurnStream } from '../profile/index';

/** Reads an answer while it is written: what of it the user may see. */
export interface ReplyReader {
  /** The whole answer so far. */
  readonly text: string;
  /** What of the reply is certain now and was not before. */
  push(text: string): string;
  /** What else is the reply if nothing more comes. */
  rest(): string;
}

/** An answer in the text form, profile and reply. Of one that does not keep it, what can be shown is the reply. */
export class FramedReply implements ReplyReader {
  readonly #turn: TurnStream;
  readonly #thoughts = new ThoughtFilter();
  #shown = '';

  constructor(schema: ProfileSchema) {
    this.#turn = new TurnStream(schema);
  }

  get text(): string {
    return this.#turn.text;
  }

  push(text: string): string {
    const certain = this.#turn.push(this.#thoughts.push(text));
    this.#shown += certain;
    return certain;
  }

  rest(): string {
    this.#turn.push(this.#thoughts.end());
    const { reply = '' } = this.#turn.end();
    if (!reply.startsWith(this.#shown)) return '';
    const rest = reply.slice(this.#shown.length);
    this.#shown = reply;
    return rest;
  }
}

/** An answer that is the reply. */
export class PlainReply implements ReplyReader {
  readonly #thoughts = new ThoughtFilter();
  text = '';

  push(text: string): string {
    return this.#add(this.#thoughts.push(text));
  }

  rest(): string {
    return this.#add(this.#thoughts.end());
  }

  #add(reply: string): string {
    this.text += reply;
    return reply;
  }
}
