import type { History } from '../environment/index';
import { RlpaError } from '../errors';
import { formatInstructions, ProfileSchema, type SlotDefinition } from '../profile/index';
import { factsSchema } from '../simulation/index';
import type { TinySize } from './experiment';
import { shortSchema } from './short-profiles';

/** The profiles that a setting can name. */
export const profileSchemas = { short: shortSchema, standard: ProfileSchema.standard, facts: factsSchema } as const;

/** What a policy is trained for: which profile it keeps, and the form of what it reads. Kept beside its weights. */
export interface Setting {
  readonly profile: keyof typeof profileSchemas;
  readonly instruction: string;
  readonly history: History;
  /** Of a policy that started from nothing; a pretrained one has none. */
  readonly size?: TinySize;
}

/** A policy that starts from nothing needs no explanation of the form, only something to begin with. */
export const tinyInstruction = 'Note and reply.';

export function tinySetting(people: 'generated' | 'recorded', size: TinySize): Setting {
  if (people === 'generated') return { profile: 'short', instruction: tinyInstruction, history: 'keep', size };
  return { profile: 'facts', instruction: tinyInstruction, history: 'latest', size };
}

/** For pretrained models: the form in words, the paper's profile. */
export function pretrainedSetting(people: 'generated' | 'recorded'): Setting {
  const profile = people === 'generated' ? 'standard' : 'facts';
  return { profile, instruction: formatInstructions(profileSchemas[profile] as ProfileSchema), history: 'keep' };
}

/** The people whose profile it is. */
export function peopleOf({ profile }: Setting): 'generated' | 'recorded' {
  return profile === 'facts' ? 'recorded' : 'generated';
}

/** @throws RlpaError `invalid-option` for a policy that was trained for people of the other kind */
export function checkSetting(setting: Setting, kind: 'generated' | 'recorded'): void {
  if (peopleOf(setting) === kind) return;
  const { profile } = setting;
  const other = kind === 'generated' ? 'recorded people: name their dialogues' : 'generated people: leave out the recorded dialogues';
  throw new RlpaError('invalid-option', `The policy keeps the profile "${profile}" and was trained with ${other}.`, {
    profile,
    people: kind,
  });
}

export function schemaOf({ profile }: Setting): ProfileSchema {
  return profileSchemas[profile] as ProfileSchema;
}

/** Where recorded people's sentences go: they fit no other slot. */
export function openSlot(schema: ProfileSchema): SlotDefinition | undefined {
  return Object.values(schema.slots).find(({ open }) => open);
}
