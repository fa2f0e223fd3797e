import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileError } from './file-error';

/** Temporary files of {@link writeWhole} end so; what a killed process left can be deleted. */
export const temporarySuffix = '.partial';

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced to disk, then renamed over `path`. Makes the folder if it is
 * missing.
 *
 * @param content the parts of a list are written one after the other
 * @throws RlpaError `file-failed`
 */
export async function writeWhole(path: string, content: string | Uint8Array | Iterable<string | Uint8Array>): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(4).toString('hex')}${temporarySuffix}`);
  const parts = typeof content === 'string' || content instanceof Uint8Array ? [content] : content;
  try {
    await mkdir(folder, { recursive: true });
    const file = await open(temporary, 'wx');
    try {
      for (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(path, cause);
  }
  await syncFolder(folder);
}

/** A file of JSON, indented for people; throws as {@link writeWhole} does. */
export function writeJsonWhole(path: string, value: unknown): Promise<void> {
  return writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** What platforms and file systems say that cannot sync a folder. */
const cannotSync = new Set(['EINVAL', 'ENOTSUP', 'EPERM', 'EISDIR', 'EBADF']);

/**
 * Makes what was renamed into the folder, or out of it, survive a power cut, where the platform can sync a folder.
 *
 * @throws RlpaError `file-failed` where it can, and the disk fails
 */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  try {
    await folder?.sync();
  } catch (cause) {
    if (!cannotSync.has((cause as NodeJS.ErrnoException).code ?? '')) throw fileError(path, cause);
  } finally {
    await folder?.close().catch(() => {});
  }
}
