import { RlpaError } from '../errors';

/** What was read and what was written in one turn, in token ids. */
export interface TokenTurn {
  readonly prompt: Int32Array;
  readonly completion: Int32Array;
}

/** Where a turn's completion lies among the training sequences. */
export interface TurnSpan {
  /** Index of the sequence. */
  readonly sequence: number;
  /** Position of the completion's first token in it. */
  readonly start: number;
  readonly length: number;
}

/**
 * How a prompt relates to the turn before. `keep`: it begins with that turn's prompt and completion, token for token, and anything
 * else is an error. `any`: history may be stripped or rewritten, and a new sequence starts where it was.
 */
export type HistoryForm = 'keep' | 'any';

/**
 * Lays the turns of a dialogue out as token sequences. A turn whose prompt begins with all that came before it goes on in the same
 * sequence, so that an append-only dialogue is one sequence and is read once; otherwise it starts a new one.
 *
 * @throws RlpaError `training-failed` when a turn has no prompt or no completion, or when `history` is `keep` and a prefix differs
 */
export function joinTurns(
  turns: readonly TokenTurn[],
  history: HistoryForm,
): { readonly sequences: Int32Array[]; readonly spans: TurnSpan[] } {
  const sequences: Int32Array[] = [];
  const spans: TurnSpan[] = [];
  for (const [index, { prompt, completion }] of turns.entries()) {
    if (prompt.length === 0 || completion.length === 0) {
      throw new RlpaError(
        'training-failed',
        `Turn ${index + 1}: expected at least one prompt and one completion token, found ${prompt.length} and ${completion.length}.`,
        { turn: index + 1 },
      );
    }
    const before = sequences.at(-1);
    const differsAt = before === undefined ? 0 : firstDifference(before, prompt);
    const continues = before !== undefined && differsAt === before.length;
    if (before !== undefined && !continues && history === 'keep') {
      throw new RlpaError(
        'training-failed',
        `Turn ${index + 1}: the history is kept, so its prompt must begin with the ${before.length} tokens of the turns before, but it differs at token ${differsAt} (expected ${before[differsAt]}, found ${prompt[differsAt] ?? 'the end'}). Sampled tokens must be fed back as they are, never decoded and encoded again.`,
        { turn: index + 1, position: differsAt },
      );
    }
    const whole = new Int32Array(prompt.length + completion.length);
    whole.set(prompt);
    whole.set(completion, prompt.length);
    if (continues) sequences[sequences.length - 1] = whole;
    else sequences.push(whole);
    spans.push({ sequence: sequences.length - 1, start: prompt.length, length: completion.length });
  }
  return { sequences, spans };
}

/** 1 on the tokens of the given spans of sequence `sequence`, 0 elsewhere. */
export function maskOf(length: number, spans: readonly TurnSpan[], sequence: number): Uint8Array {
  const mask = new Uint8Array(length);
  for (const span of spans) if (span.sequence === sequence) mask.fill(1, span.start, span.start + span.length);
  return mask;
}

/** The first position at which `longer` is not `prefix`; the length of `prefix` when it begins with it. */
function firstDifference(prefix: Int32Array, longer: Int32Array): number {
  let i = 0;
  while (i < prefix.length && prefix[i] === longer[i]) i++;
  return i;
}
