import { readFile } from 'node:fs/promises';
import { RlpaError } from '../errors';
import { fileError } from './file-error';

/**
 * A file of JSON.
 *
 * @throws RlpaError `invalid-file` when it is missing or not JSON, `file-failed`
 */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RlpaError('invalid-file', `${path}: not JSON: ${(cause as Error).message}`, { file: path }, { cause });
  }
}

/** A file of text; throws as {@link readJson} does. */
export async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw fileError(path, cause);
  });
}
