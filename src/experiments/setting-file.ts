import { join } from 'node:path';
import { RlpaError } from '../errors';
import { isObject } from '../json-object';
import { readJsonIfThere, writeJsonWhole } from '../node/index';
import { tinySizes } from './experiment';
import { profileSchemas, type Setting, tinyInstruction } from './setting';

/** Where a policy's setting is kept, beside its weights. */
export const settingFile = 'rlpa.json';

export async function writeSetting(folder: string, setting: Setting): Promise<void> {
  await writeJsonWhole(join(folder, settingFile), setting);
}

/**
 * The setting that a policy was saved with; undefined for a model from elsewhere.
 *
 * @throws RlpaError `invalid-file` for a file that holds none, `file-failed` for one that cannot be read
 */
export async function readSetting(folder: string): Promise<Setting | undefined> {
  const path = join(folder, settingFile);
  const found = await readJsonIfThere(path);
  if (found === undefined) return undefined;
  if (isSetting(found)) {
    const { profile, instruction, history } = found;
    // files of earlier versions do not say the size
    const size = found.size ?? (instruction === tinyInstruction ? 'tiny' : undefined);
    return { profile, instruction, history, ...(size && { size }) };
  }
  const profiles = Object.keys(profileSchemas).join(', ');
  throw new RlpaError(
    'invalid-file',
    `${path}: expected profile (${profiles}), instruction, history and, of a policy that started from nothing, size (${tinySizes.join(', ')}).`,
    { file: path },
  );
}

function isSetting(found: unknown): found is Setting {
  if (!isObject(found)) return false;
  const { profile, instruction, history, size } = found;
  return (
    Object.hasOwn(profileSchemas, profile as string) &&
    typeof instruction === 'string' &&
    ['keep', 'strip', 'latest'].includes(history as string) &&
    (size === undefined || (tinySizes as readonly unknown[]).includes(size))
  );
}
