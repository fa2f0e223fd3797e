import type { ProfileSchema, SlotDefinition } from '../profile/index';
import { remember } from '../remember';
import { isFreeForm, topicOf, topicsIn } from './topics';
import { contentWords, sentences, stem, words } from './words';

/** Whether a sentence asks: by its question mark, or by beginning as questions do where people leave the mark out. */
export function isQuestion(sentence: string): boolean {
  if (/\?\s*["')]?\s*[!?]*$/.test(sentence.trim())) return true;
  return /^\s*(?:(?:so|and|but|well|ok|okay)[, ]+)?(?:tell me|(?:what|where|who|how|which|why|when)(?:'s| is| are| do| does| did| old| about| kind)\b)/i.test(
    sentence,
  );
}

/** The sentences of a text that ask something. */
export const questions: (text: string) => readonly string[] = remember((text) => sentences(text).filter(isQuestion));

/** The sentences of a text that state something. */
export function statements(text: string): string[] {
  return sentences(text).filter((sentence) => !isQuestion(sentence));
}

const smallTalk =
  /^(?:(?:so|and|hi|hello|hey|well) )*(?:how (?:are|r) (?:you|u|things)(?: doing)?(?: today)?|how is it going|what is up|how do you do|(?:and |what about |how about )?you(?:rself)?)$/;

/** Asks what the user makes of a fact that is known, rather than for the fact. */
const followUps = [
  /\b(?:do|did) you (?:really |still |also )?(?:like|enjoy|love|hate|miss|find|mind) (?:your|that|the|this|it|being|working|living|having)\b/,
  /\bwhat (?:do|did) you (?:really )?(?:like|love|enjoy|think|hate|feel|prefer)(?: the)?(?: most| best| least)? (?:about|of)\b/,
  /\bhow (?:is|was|are|were|do you (?:like|feel|find)|did you (?:like|feel|find|get|become|meet)) /,
  /\bhow long\b/,
  /\bwhy\b/,
];

/** A question in the form that the topics' patterns read: words only, contractions written out. */
const spelledOut = remember((question: string): string => {
  return words(question)
    .join(' ')
    .replace(/\b(what|where|who|how|when|that|it|there)'s\b/g, '$1 is')
    .replace(/\b(whats|wheres|whos|hows)\b/g, (word) => `${word.slice(0, -1)} is`)
    .replace(/'re\b/g, ' are')
    .replace(/\b(what|where|who) (?:are|r) u\b/g, '$1 are you');
});

/**
 * The keys of the slots whose values the questions in `text` ask for, in the schema's order: `occupation` for "What do you do
 * for a living?". A question about what is known already ("Do you like your job?") asks for no slot. Where all slots take free-form facts,
 * any personal question asks for them.
 */
export function asksAbout(text: string, schema: ProfileSchema): string[] {
  const forms = questions(text)
    .map((question) => spelledOut(question))
    .filter((form) => !smallTalk.test(form) && !followUps.some((pattern) => pattern.test(form)));
  if (forms.length === 0) return [];
  const slots = slotsOf(schema);
  const asked = slots.filter((slot) => forms.some((form) => topicOf(slot).asks.some((pattern) => pattern.test(form))));
  if (asked.length === 0 && slots.every(isFreeForm) && forms.some(isPersonal)) return slots.map((slot) => slot.key);
  return asked.map((slot) => slot.key);
}

function isPersonal(form: string): boolean {
  return /\b(?:you|your|u|ur)\b/.test(form) && contentWords(form).size > 0;
}

function slotsOf(schema: ProfileSchema): SlotDefinition[] {
  return Object.values(schema.slots);
}

/** The keys of the slots that a text speaks of by the words usual for them, asking or not. */
export function speaksOf(text: string, schema: ProfileSchema): string[] {
  const spoken = new Set([...new Set(words(text))].map(stem));
  return slotsOf(schema)
    .filter((slot) => topicOf(slot).vocabulary.some((word) => spoken.has(stem(word))))
    .map((slot) => slot.key);
}

/** Whether both texts speak of one everyday topic, as "I have one brother" and "My sisters live here" do. */
export function shareTopic(a: string, b: string): boolean {
  const other = topicsIn(new Set(words(b).map(stem)));
  return other.length > 0 && topicsIn(new Set(words(a).map(stem))).some((topic) => other.includes(topic));
}

/**
 * Whether a question was asked before: in the same words, or with the same interrogative and subject words.
 *
 * @param earlier what the same speaker said before
 */
export function wasAsked(question: string, earlier: readonly string[]): boolean {
  const { form, subject } = keysOf(question);
  return earlier.some((text) =>
    questions(text).some((other) => {
      const asked = keysOf(other);
      return asked.form === form || (subject !== undefined && asked.subject === subject);
    }),
  );
}

/** What two askings of one question have in common. No subject where there is no subject word. */
const keysOf = remember((question: string): { readonly form: string; readonly subject: string | undefined } => {
  const form = spelledOut(question);
  const content = [...contentWords(question)].sort();
  const interrogative = /\b(?:what|where|who|when|why|how|which)\b/.exec(form)?.[0] ?? '';
  return { form, subject: content.length > 0 ? [interrogative, ...content].join(' ') : undefined };
});
