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

/** The profile without what may not be read. */
export function visiblePart<S extends SlotMap>(profile: Profile<S>, isAllowed: SlotFilter): Profile<S> {
  const slots = Object.values<SlotDefinition>(profile.schema.slots);
  const allowed = slots.filter(isAllowed);
  return allowed.length === slots.length ? profile : profile.pick(allowed.map(({ key }) => key));
}

/** A rejection for lack of consent. The value stays out of it, as of everything else that a turn without consent tells. */
export function withoutConsent(slot: string): RejectedValue {
  return { slot, value: undefined, reason: 'the slot is sensitive, and there is no consent' };
}

/**
 * What was refused, without values that may not be read. Their reasons go with them: they may quote the value.
 *
 * @param items what is kept of the user, which tells whether a slot that the schema has no more was sensitive
 */
export function visibleRejections(
  schema: ProfileSchema,
  rejected: readonly RejectedValue[],
  items: readonly StoredItem[],
  isAllowed: SlotFilter,
): readonly RejectedValue[] {
  return rejected.map((one) => {
    if (one.slot === '') return Object.values<SlotDefinition>(schema.slots).every(isAllowed) ? one : { ...one, value: undefined };
    const known = schema.slotByLabel(one.slot);
    const slot = known ?? { key: one.slot, sensitive: items.some((item) => item.slot === one.slot && item.sensitive) };
    return isAllowed(slot) ? one : withoutConsent(slot.key);
  });
}

export type WrittenAnswer = Pick<StoredTurn, 'text' | 'reply' | 'malformed'>;

/**
 * A model's answer, in the form of a whole turn, without what may not be read: the other slots of its profile, or `known` where that cannot be
 * read. Of one in JSON the reply is left.
 */
export function visibleAnswer(form: AnswerForm, answer: WrittenAnswer, known: Profile, isAllowed: SlotFilter): string {
  const { text, reply } = answer;
  if (Object.values<SlotDefinition>(known.schema.slots).every(isAllowed)) return text;
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
