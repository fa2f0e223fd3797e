import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RlpaError } from '../errors';
import { writeJsonWhole } from '../node/index';
import { profileSchemas, type Setting } from './setting';

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
    if (Object.hasOwn(profileSchemas, profile) && typeof instruction === 'string' && ['keep', 'strip', 'latest'].includes(history))
      return { profile, instruction, history };
  } catch {}
  throw new RlpaError('invalid-file', `${path}: expected profile (${Object.keys(profileSchemas).join(', ')}), instruction and history.`, {
    file: path,
  });
}
