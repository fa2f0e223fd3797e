const names = ['think', 'thinking', 'thought', 'reasoning'] as const;
const opening = new RegExp(`^\\s*<(${names.join('|')})>`, 'i');

/**
 * Leaves out what a model thinks aloud before it answers: text that begins with `<think>`, up to `</think>`. What it thinks is neither the
 * user's to read nor an answer, and may hold anything, tags of the form included.
 */
export class ThoughtFilter {
  #phase: 'beginning' | 'thought' | 'gap' | 'answer' = 'beginning';
  /** What may yet turn out to be a tag. */
  #held = '';
  #close = '';
  readonly #thought: string[] = [];

  /** What of the answer is certain now. */
  push(piece: string): string {
    if (this.#phase === 'answer') return piece;
    if (this.#phase === 'gap') return this.#afterGap(piece);
    let thought = piece;
    this.#held += piece;
    if (this.#phase === 'beginning') {
      const open = opening.exec(this.#held);
      if (!open) return mayBegin(this.#held) ? '' : this.#answer(0);
      this.#phase = 'thought';
      this.#close = `</${open[1]!.toLowerCase()}>`;
      this.#held = thought = this.#held.slice(open[0].length);
    }
    const end = this.#held.toLowerCase().indexOf(this.#close);
    if (end >= 0) return this.#afterGap(this.#answer(end + this.#close.length));
    this.#thought.push(thought);
    this.#held = this.#held.slice(1 - this.#close.length);
    return '';
  }

  /** What else is answer if nothing more comes: of a thought that did not end, what has the form of an answer. */
  end(): string {
    if (this.#phase === 'beginning') return this.#answer(0);
    if (this.#phase !== 'thought') return '';
    this.#phase = 'answer';
    return /<(?:profile|response)>.*/s.exec(this.#thought.join(''))?.[0] ?? '';
  }

  /** Without the white space that parts the answer from the thought. */
  #afterGap(text: string): string {
    const answer = text.trimStart();
    this.#phase = answer === '' ? 'gap' : 'answer';
    return answer;
  }

  #answer(from: number): string {
    const answer = this.#held.slice(from);
    this.#phase = 'answer';
    this.#held = '';
    return answer;
  }
}

export function withoutThoughts(text: string): string {
  const thoughts = new ThoughtFilter();
  return thoughts.push(text) + thoughts.end();
}

/** Whether this is white space, and a tag that has only begun. */
function mayBegin(text: string): boolean {
  const begun = text.trimStart().toLowerCase();
  return names.some((name) => `<${name}>`.startsWith(begun));
}
