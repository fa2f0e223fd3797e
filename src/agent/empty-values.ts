import { contentWords } from '../language/index';
import { isFunctionWord, normalizeText, type SlotDefinition, valueSchemas, valueText } from '../profile/index';

/*
 * Values whose words nearly every message holds: "in", "not", "Thanks", a single letter, the slot's own name. That they occur says nothing.
 * Some are facts all the same (IT, The Who, May, she/her, blood type A), and are told by how they are written; others (no, sometimes) by what
 * the schema lists.
 */

/** Beside function words, as `normalizeText` writes them: answers and negations without their question, greetings. */
const emptyWords = new Set(
  `no not none nor never nothing yes yeah yep nope ok okay oh ah um hmm well hey hi hello bye thanks thank please sorry sure maybe perhaps
  dont didnt doesnt isnt arent wasnt cant wont lets`.split(/\s+/),
);

/** A letter that is no word. Those of Han and Hangul are syllables, and often one. */
const singleLetter = /^(?![\p{Script=Han}\p{Script=Hangul}])\p{L}\p{M}*$/u;

/** Whether none of these words speaks for anything by occurring in a message; in a slot, neither do those of its name. */
export function isEmpty(text: string, slot?: SlotDefinition): boolean {
  const name = slot && contentWords(`${slot.label} ${slot.key.replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2')}`);
  const isOfName = (word: string) => name !== undefined && [...contentWords(word)].some((root) => name.has(root));
  const isOfAnyMessage = (word: string) => isFunctionWord(word) || emptyWords.has(word) || singleLetter.test(word);
  return normalizeText(text)
    .split(' ')
    .every((word) => isOfAnyMessage(word) || !/[\p{L}\p{N}]/u.test(word) || isOfName(word));
}

const pronoun = '(?:he|him|his|she|hers?|they|them|theirs?|it|its|xe|xem|ze|hir)';
const pronouns = new RegExp(String.raw`^${pronoun}(?:\s?/\s?${pronoun})+$`, 'i');

/** Pronouns as people state theirs: "she/her". */
export function arePronouns(text: string): boolean {
  return pronouns.test(text.trim());
}

/** "IT", "The Who": the first letter alone may only begin a sentence. */
export function hasInnerCapital(text: string): boolean {
  return /\S\s*\p{Lu}/u.test(text.replace(/\bI\b/g, ''));
}

/** Whether a value can only be a slip of the model, unless the user says it as `findValue` understands that. */
export function saysNothing(slot: SlotDefinition, value: unknown): boolean {
  if (typeof value !== 'string' || arePronouns(value) || hasInnerCapital(value)) return false;
  return isEmpty(value, slot) && !isListed(slot, value);
}

/** Whether there is nothing to read in a value: no letter, digit, currency or pictogram, and the schema does not list it. */
export function isUnreadable(slot: SlotDefinition, value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '' && !/[\p{L}\p{N}\p{Sc}\p{So}]/u.test(value) && !isListed(slot, value);
}

const listed = new WeakMap<SlotDefinition, ReadonlySet<string>>();

/** Whether the schema itself names this value: `z.enum(['in', 'out'])`. */
export function isListed(slot: SlotDefinition, value: unknown): boolean {
  let values = listed.get(slot);
  if (!values) {
    const { values: schemas, root } = valueSchemas([slot]);
    values = new Set(valuesIn(schemas[slot.key]!, new Map(Object.entries(root.$defs ?? {}))).map(valueText));
    listed.set(slot, values);
  }
  return values.has(valueText(value));
}

/** @param definitions what schemas may refer to; each is looked at once, for types may refer to themselves */
function valuesIn(schema: ListingSchema, definitions: Map<string, unknown>): unknown[] {
  const { enum: all = [], const: only, anyOf = [], oneOf = [], $ref } = schema;
  const name = $ref?.replace('#/$defs/', '') ?? '';
  const referred = definitions.get(name) as ListingSchema | undefined;
  definitions.delete(name);
  const parts = [...anyOf, ...oneOf, ...(referred ? [referred] : [])];
  return [...all, ...(only === undefined ? [] : [only]), ...parts.flatMap((part) => valuesIn(part, definitions))];
}

/** The parts of a JSON Schema by which values are named. */
interface ListingSchema {
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly ListingSchema[];
  readonly oneOf?: readonly ListingSchema[];
  readonly $ref?: string;
}
