import type { Profile, SlotDefinition, SlotMap } from '../profile/index';

/** Sensitive slots that may be filled: these, or all of them. */
export type Consent = readonly string[] | true | undefined;

/** Whether a slot may be read and filled: sensitive ones only with consent. */
export type SlotFilter = (slot: SlotDefinition) => boolean;

export function allowedBy(consent: Consent): SlotFilter {
  return ({ key, sensitive }) => !sensitive || consent === true || (consent?.includes(key) ?? false);
}

/** The profile without what may not be read. */
export function visiblePart<S extends SlotMap>(profile: Profile<S>, isAllowed: SlotFilter): Profile<S> {
  const slots = Object.values<SlotDefinition>(profile.schema.slots);
  const allowed = slots.filter(isAllowed);
  return allowed.length === slots.length ? profile : profile.pick(allowed.map(({ key }) => key));
}
