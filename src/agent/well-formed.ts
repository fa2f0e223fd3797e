/** Text that UTF-8 can carry: what is left of a broken surrogate pair is U+FFFD. Without NUL, which databases refuse. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd').replaceAll('\0', '');
}

/** The same for text that comes in pieces, which may end within a character. Of a character that is cut off at the end nothing is left. */
export class WellFormedStream {
  /** The first half of a surrogate pair, until the second has come. */
  #half = '';

  push(piece: string): string {
    const text = this.#half + piece;
    const isHalved = /[\ud800-\udbff]$/.test(text);
    this.#half = isHalved ? text.slice(-1) : '';
    return wellFormed(isHalved ? text.slice(0, -1) : text);
  }
}
