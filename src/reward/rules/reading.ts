import { asksAbout, contentWords, questions, sentences, statements } from '../../language/index';
import type { ProfileItem } from '../../profile/index';
import type { CriterionVerdict, JudgeContext } from '../verdict';

/** Bounds of the rules. */
export interface RuleBounds {
  /** Most words in a reply. */
  readonly maxWords: number;
  readonly maxSentences: number;
  /** Share of a reply's subject words from which on it parrots the user's message. */
  readonly maxEcho: number;
}

/** A reply and its dialogue, read once for all five rules. */
export interface Reading {
  readonly reply: string;
  readonly sentences: readonly string[];
  readonly questions: readonly string[];
  readonly statements: readonly string[];
  readonly content: ReadonlySet<string>;
  /** Slots whose values the reply asks for. */
  readonly asked: readonly string[];
  /** The user's message that is being answered; empty when the dialogue is. */
  readonly message: string;
  readonly messageContent: ReadonlySet<string>;
  /** What the assistant said before. */
  readonly earlier: readonly string[];
  readonly context: JudgeContext;
  readonly undisclosed: readonly ProfileItem[];
  readonly bounds: RuleBounds;
}

/** Looks at one criterion. */
export type Rule = (reading: Reading) => CriterionVerdict;

export function readReply(context: JudgeContext, bounds: RuleBounds): Reading {
  const message = context.dialogue.findLast((each) => each.role === 'user')?.content ?? '';
  const known = new Set(context.disclosed.map((item) => item.key));
  return {
    reply: context.reply,
    sentences: sentences(context.reply),
    questions: questions(context.reply),
    statements: statements(context.reply),
    content: contentWords(context.reply),
    asked: asksAbout(context.reply, context.golden.schema),
    message,
    messageContent: contentWords(message),
    earlier: context.dialogue.filter((each) => each.role === 'assistant').map((each) => each.content),
    context,
    undisclosed: context.golden.items().filter((item) => !known.has(item.key)),
    bounds,
  };
}

export function pass(reason: string): CriterionVerdict {
  return { pass: true, reason };
}

export function fail(reason: string): CriterionVerdict {
  return { pass: false, reason };
}

/** The readable name of a slot. */
export function label(reading: Reading, slot: string): string {
  return reading.context.golden.schema.slots[slot]?.label.toLowerCase() ?? slot;
}

export function holdsOne(reading: Reading, slot: string): boolean {
  return reading.context.golden.schema.slots[slot]?.cardinality === 'one';
}
