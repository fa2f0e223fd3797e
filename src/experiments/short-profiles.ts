import { ProfileSchema, slot, text } from '../profile/index';
import { generatePersonas, type Persona, type PersonaOptions } from '../simulation/index';

/**
 * What the embedded policy is to know about a user: six of the paper's ten slots with one value each. A model of half a million weights
 * that starts from nothing learns to keep six lines in a minute; the ten slots with their lists take it several.
 */
export const shortSchema = ProfileSchema.define({
  interests: slot.one(text, { label: 'Interest' }),
  educationBackground: slot.one(text, { label: 'Education' }),
  personalityTraits: slot.one(text, { label: 'Personality' }),
  occupation: slot.one(text, { label: 'Occupation' }),
  maritalStatus: slot.one(text, { label: 'Marital Status' }),
  location: slot.one(text, { label: 'Location' }),
});

/** Generated people as far as the six slots tell of them: of a list its first value. */
export function generateShortPersonas(options: PersonaOptions): Persona[] {
  return generatePersonas(options).map(({ id, profile }) => {
    const values: Record<string, unknown> = {};
    for (const { slot: name, value } of profile.items()) if (name in shortSchema.slots) values[name] ??= value;
    return { id, profile: shortSchema.profile(values) };
  });
}
