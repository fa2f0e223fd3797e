import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { History } from '../environment/index';
import { RlpaError } from '../errors';
import { writeJsonWhole } from '../node/index';
import { formatInstructions, ProfileSchema, type SlotDefinition } from '../profile/index';
import { factsSchema } from '../simulation/index';
import { shortSchema } from './short-profiles';

const schemas = { short: shortSchema, standard: ProfileSchema.standard, facts: factsSchema } as const;

/** What a policy is trained for: which profile it keeps, and the form of what it reads. Kept beside its weights. */
export interface Setting {
  readonly profile: keyof typeof schemas;
  readonly instruction: string;
  readonly history: History;
}

/** A policy that starts from nothing needs no explanation of the form, only something to begin with. */
export const tinySettings = {
  generated: { profile: 'short', instruction: 'Note and reply.', history: 'keep' },
  recorded: { profile: 'facts', instruction: 'Note and reply.', history: 'latest' },
} as const satisfies Record<string, Setting>;

/** For pretrained models: the form in words, the paper's profile. */
export function pretrainedSetting(people: 'generated' | 'recorded'): Setting {
  const profile = people === 'generated' ? 'standard' : 'facts';
  return { profile, instruction: formatInstructions(schemas[profile] as ProfileSchema), history: 'keep' };
}

/** @throws RlpaError `invalid-option` for a policy that was trained for people of the other kind */
export function checkSetting({ profile }: Setting, kind: 'generated' | 'recorded'): void {
  if ((profile === 'facts') === (kind === 'recorded')) return;
  const other = kind === 'generated' ? 'recorded people: name their dialogues' : 'generated people: leave out the recorded dialogues';
  throw new RlpaError('invalid-option', `The policy keeps the profile "${profile}" and was trained with ${other}.`, {
    profile,
    people: kind,
  });
}

export function schemaOf({ profile }: Setting): ProfileSchema {
  return schemas[profile] as ProfileSchema;
}

/** Where recorded people's sentences go: they fit no other slot. */
export function openSlot(schema: ProfileSchema): SlotDefinition | undefined {
  return Object.values(schema.slots).find(({ open }) => open);
}

const fileName = 'rlpa.json';

export async function writeSetting(folder: string, setting: Setting): Promise<void> {
  await writeJsonWhole(join(folder, fileName), setting);
}

/**
 * The setting that a policy was saved with; undefined for a model from elsewhere.
 *
 * @throws RlpaError `invalid-file` for a file that holds none
 */
export async function readSetting(folder: string): Promise<Setting | undefined> {
  const path = join(folder, fileName);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
  try {
    const { profile, instruction, history } = JSON.parse(text);
    if (profile in schemas && typeof instruction === 'string' && ['keep', 'strip', 'latest'].includes(history))
      return { profile, instruction, history };
  } catch {}
  throw new RlpaError('invalid-file', `${path}: expected profile (${Object.keys(schemas).join(', ')}), instruction and history.`, {
    file: path,
  });
}
