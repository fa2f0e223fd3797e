import { RlpaError } from '../errors';
import {
  formatTurn,
  type Profile,
  type ProfileSchema,
  parseProfileBlock,
  type RejectedValue,
  type SlotDefinition,
  type SlotMap,
} from '../profile/index';
import { quoted } from '../quoted';
import type { AgentProblem } from './answer';
import type { AnswerForm } from './prompt';
import type { StoredItem, StoredTurn } from './user-record';

/** Sensitive slots that may be filled: those of these names, all of them (`true`), or none. */
export type Consent = readonly string[] | boolean | undefined;

/** @throws `invalid-option` for a consent of another type, and for a name that is no slot's: what was consented to must not be lost by a slip */
export function checkConsent(schema: ProfileSchema, consent: Consent): void {
  if (consent === undefined || typeof consent === 'boolean') return;
  const refused = (reason: string) =>
    new RlpaError('invalid-option', `consent is true, false or a list of slots; ${reason}.`, { option: 'consent' });
  if (!Array.isArray(consent)) throw refused(`found ${consent === null ? 'null' : `a ${typeof consent}`}`);
  for (const name of consent) {
    if (typeof name !== 'string') throw refused(`found a list with ${name === null ? 'null' : `a ${typeof name}`}`);
    if (!Object.hasOwn(schema.slots, name)) throw refused(`there is no slot ${quoted(name)}`);
  }
}

/** Whether a slot may be read and filled: sensitive ones only with consent. */
export type SlotFilter = (slot: Pick<SlotDefinition, 'key' | 'sensitive'>) => boolean;

export function allowedBy(consent: Consent): SlotFilter {
  return ({ key, sensitive }) => !sensitive || consent === true || (Array.isArray(consent) && consent.includes(key));
}

function allowsAll(schema: ProfileSchema, isAllowed: SlotFilter): boolean {
  return Object.values<SlotDefinition>(schema.slots).every(isAllowed);
}

/** The profile without what may not be read. */
export function visiblePart<S extends SlotMap>(profile: Profile<S>, isAllowed: SlotFilter): Profile<S> {
  if (allowsAll(profile.schema, isAllowed)) return profile;
  const allowed = Object.values<SlotDefinition>(profile.schema.slots).filter(isAllowed);
  return profile.pick(allowed.map(({ key }) => key));
}

/** A rejection for lack of consent. The value stays out of it, as of everything else that a turn without consent tells. */
export function withoutConsent(slot: string): RejectedValue {
  return { slot, value: undefined, reason: 'the slot is sensitive, and there is no consent' };
}

/**
 * What was refused, without values that may not be read. Their reasons go with them: they may quote the value. A value
 * for a slot that nobody knows is left out as well: it may belong in one that may not be read.
 *
 * @param items what is kept of the user, which tells whether a slot that the schema has no more was sensitive
 */
export function visibleRejections(
  schema: ProfileSchema,
  rejected: readonly RejectedValue[],
  items: readonly StoredItem[],
  isAllowed: SlotFilter,
): readonly RejectedValue[] {
  const isAllAllowed = allowsAll(schema, isAllowed);
  return rejected.map((one) => {
    const known = schema.slotByLabel(one.slot);
    const stored = items.filter(({ slot }) => slot === one.slot);
    if (!known && stored.length === 0) return isAllAllowed ? one : { ...one, value: undefined };
    const slot = known ?? { key: one.slot, sensitive: stored.some(({ sensitive }) => sensitive) };
    return isAllowed(slot) ? one : withoutConsent(slot.key);
  });
}

/**
 * What was wrong with an answer, without what its message quotes where that may belong in a slot that may not be read. Other problems are not
 * of the answer's words.
 */
export function visibleProblem(schema: ProfileSchema, problem: AgentProblem, isAllowed: SlotFilter): AgentProblem {
  const { code } = problem;
  if (code === 'not-stored' || code === 'not-inferred' || allowsAll(schema, isAllowed)) return problem;
  return { code, message: `The answer is malformed (${code}). It is not quoted, as there is no consent to all sensitive slots.` };
}

export type WrittenAnswer = Pick<StoredTurn, 'text' | 'reply' | 'malformed'>;

/**
 * A model's answer, in the form of a whole turn, without what may not be read: the other slots of its profile, or `known` where that cannot be
 * read. Of one in JSON the reply is left.
 */
export function visibleAnswer(form: AnswerForm, answer: WrittenAnswer, known: Profile, isAllowed: SlotFilter): string {
  const { text, reply } = answer;
  if (allowsAll(known.schema, isAllowed)) return text;
  if (form === 'json') return JSON.stringify({ changes: [], reply });
  if (isVisible(answer, known.schema, isAllowed)) return text;
  const block = parseProfileBlock(known.schema, text, { tolerateValues: true });
  return formatTurn(block.ok ? visiblePart(block.profile, isAllowed) : known, reply);
}

/** Whether an answer kept the text form and has lines of slots that may be read only: a look that spares reading all its values. */
function isVisible({ text, malformed }: WrittenAnswer, schema: ProfileSchema, isAllowed: SlotFilter): boolean {
  if (malformed || !/^\s*<profile>/.test(text)) return false;
  const slots = Array.from(text.matchAll(/^[^\S\n]*-([^:\n]*):/gm), ([, label]) => schema.slotByLabel(label!));
  return slots.every((slot) => slot !== undefined && isAllowed(slot));
}
