const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

/**
 * Reads the string under the top-level key "reply" of a JSON object while that is being written. It follows strings and nesting and
 * nothing else: whether the JSON is right is seen when it is whole.
 */
export class JsonReplyReader {
  #depth = 0;
  /** What the current string is: a key (or value) at the top level, the reply, or anything else. */
  #string: 'none' | 'top' | 'reply' | 'other' = 'none';
  #top = '';
  #expectsReply = false;
  #escape = '';
  /** The first half of a surrogate pair, until the second has come. */
  #half = '';
  #done = false;

  /** What of the reply came with this text. */
  push(text: string): string {
    let reply = this.#half;
    this.#half = '';
    for (let at = 0; at < text.length && !this.#done; at++) {
      const unit = text[at]!;
      if (this.#string === 'none') this.#readStructure(unit);
      else if (unit === '"' && this.#escape === '') this.#endString();
      else {
        const read = this.#readUnit(unit);
        if (this.#string === 'reply') reply += read;
        else if (this.#string === 'top') this.#top += read;
      }
    }
    if (!this.#done && /[\ud800-\udbff]$/.test(reply)) {
      this.#half = reply.slice(-1);
      return reply.slice(0, -1);
    }
    return reply;
  }

  #readStructure(unit: string): void {
    if (this.#depth === 0 && unit !== '{') return; // text around the object
    if (unit === '{' || unit === '[') this.#depth++;
    else if (unit === '}' || unit === ']') this.#depth--;
    else if (unit === '"') {
      this.#string = this.#depth !== 1 ? 'other' : this.#expectsReply ? 'reply' : 'top';
      this.#top = '';
    } else if (this.#depth === 1 && unit === ':') this.#expectsReply = this.#top === 'reply';
    else if (this.#depth === 1 && unit === ',') this.#expectsReply = false;
  }

  #endString(): void {
    this.#done = this.#string === 'reply';
    this.#string = 'none';
  }

  /** One UTF-16 unit of a string; empty while an escape sequence is not complete. */
  #readUnit(unit: string): string {
    if (this.#escape === '' && unit !== '\\') return unit;
    this.#escape += unit;
    const [, kind] = this.#escape;
    if (kind === undefined || (kind === 'u' && this.#escape.length < 6)) return '';
    const code = this.#escape.slice(2);
    this.#escape = '';
    if (kind !== 'u') return escapes[kind] ?? kind;
    return /^[0-9a-f]{4}$/i.test(code) ? String.fromCharCode(Number.parseInt(code, 16)) : '\ufffd';
  }
}
