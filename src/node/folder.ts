import { rm } from 'node:fs/promises';
import { RlpaError } from '../errors';
import { fileError } from './file-error';

/**
 * Refuses an empty path to write to, which would be the working directory.
 *
 * @throws RlpaError `invalid-option`
 */
export function checkFolderPath(folder: string): void {
  if (folder === '') throw new RlpaError('invalid-option', "Expected the path of a folder, found ''.", { option: 'folder' });
}

/**
 * Removes a file, if it is there.
 *
 * @throws RlpaError `file-failed`
 */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch((cause: unknown) => {
    throw fileError(path, cause);
  });
}
