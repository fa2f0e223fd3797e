import type { Profile, ProfileItem, ProfileSchema, SlotDefinition } from '../profile/index';

/** The profile that holds these facts; of a slot with one value the last of them. */
export function notedProfile(schema: ProfileSchema, facts: readonly ProfileItem[]): Profile {
  const slots = schema.slots as Readonly<Record<string, SlotDefinition>>;
  return schema.empty().with(facts.map(({ slot, value }) => ({ op: slots[slot]!.cardinality === 'many' ? 'add' : 'set', slot, value })));
}
