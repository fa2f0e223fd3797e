/**
 * Finds stop strings in text that comes in pieces. What could be the beginning of one is held back until more is known.
 */
export class StopStrings {
  /** A stop string came; nothing from it on is text. */
  found = false;
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** The text that is certain by now. */
  take(piece: string): string {
    if (this.found) return '';
    const text = this.#held + piece;
    this.#held = '';
    const starts = this.#stops.map((stop) => text.indexOf(stop)).filter((start) => start >= 0);
    if (starts.length > 0) {
      this.found = true;
      return text.slice(0, Math.min(...starts));
    }
    const held = this.#openEnd(text);
    this.#held = text.slice(text.length - held);
    return text.slice(0, text.length - held);
  }

  /** What was held back, when no more is to come. */
  rest(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Length of the longest end of the text that begins a stop string. */
  #openEnd(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
