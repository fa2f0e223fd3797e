import { mayBecomeTag, openResponse, type ParsedTurn, parseTurn, unescapeTags } from './codec';
import type { ProfileSchema, SlotMap } from './schema';

const tagHere = /^<\\*\/?(?:profile|response)>/;

/**
 * Reads a turn while it is being written, so that the reply can be shown as it comes. The pieces together are the reply that `end`
 * reports; until `<response>` has come there are none.
 *
 * @example
 * import { formatInstructions, openAIChat, ProfileSchema, TurnStream } from 'rlpa';
 * const schema = ProfileSchema.standard;
 * const messages = [{ role: 'system', content: formatInstructions(schema) }, { role: 'user', content: 'Night shift again.' }] as const;
 * const turn = new TurnStream(schema);
 * for await (const part of openAIChat({ model: 'gpt-4o-mini' }).stream({ messages })) {
 *   if (part.type === 'text') process.stdout.write(turn.push(part.text));
 * }
 * const result = turn.end();
 */
export class TurnStream<S extends SlotMap = SlotMap> {
  readonly #schema: ProfileSchema<S>;
  #phase: 'before' | 'reply' | 'after' = 'before';
  readonly #written: string[] = [];
  /** What may yet turn out to be a tag. */
  #pending = '';
  /** White space that belongs to the reply only if something follows it. */
  #space = '';
  #started = false;

  constructor(schema: ProfileSchema<S>) {
    this.#schema = schema;
  }

  /** What of the reply is certain now and was not before; often empty. */
  push(text: string): string {
    this.#written.push(text);
    if (this.#phase === 'after') return '';
    this.#pending += text;
    if (this.#phase === 'before' && !this.#findResponse()) return '';
    return this.#certain(this.#takeReply());
  }

  /** The same as `parseTurn` gives for the whole text. */
  end(): ParsedTurn<S> {
    return parseTurn(this.#schema, this.text);
  }

  /** All that was pushed. */
  get text(): string {
    return this.#written.join('');
  }

  /** Drops what comes before the next response. @returns whether there is one yet */
  #findResponse(): boolean {
    const at = this.#pending.indexOf(openResponse);
    this.#phase = at < 0 ? 'before' : 'reply';
    this.#pending = this.#pending.slice(at < 0 ? -(openResponse.length - 1) : at + openResponse.length);
    return at >= 0;
  }

  #takeReply(): string {
    let taken = '';
    while (this.#pending !== '') {
      const at = this.#pending.indexOf('<');
      if (at !== 0) {
        taken += at < 0 ? this.#pending : this.#pending.slice(0, at);
        this.#pending = at < 0 ? '' : this.#pending.slice(at);
        continue;
      }
      const tag = tagHere.exec(this.#pending)?.[0];
      if (tag && !tag.startsWith('<\\')) {
        if (this.#started || taken.trim() !== '') {
          this.#phase = 'after';
          this.#pending = '';
        } else if (!this.#findResponse()) return '';
      } else if (!tag && mayBecomeTag(this.#pending)) {
        break;
      } else {
        const known = tag ?? '<';
        taken += unescapeTags(known);
        this.#pending = this.#pending.slice(known.length);
      }
    }
    return taken;
  }

  /** Holds back the white space around the reply. */
  #certain(text: string): string {
    const begun = this.#started ? text : text.trimStart();
    const body = begun.trimEnd();
    if (body === '') {
      if (this.#started) this.#space += begun;
      return '';
    }
    const certain = this.#space + body;
    this.#space = begun.slice(body.length);
    this.#started = true;
    return certain;
  }
}
