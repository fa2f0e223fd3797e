import type { Profile, ProfileItem, ProfileSchema } from '../profile/index';

/** The profile that holds these facts; of a slot with one value the last of them. */
export function notedProfile(schema: ProfileSchema, facts: readonly ProfileItem[]): Profile {
  return schema
    .empty()
    .with(facts.map(({ slot, value }) => ({ op: schema.slots[slot]!.cardinality === 'many' ? 'add' : 'set', slot, value })));
}
