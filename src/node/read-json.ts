import { readFile } from 'node:fs/promises';
import { RlpaError } from '../errors';
import { fileError, saysMissing } from './file-error';

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

/**
 * The same of a file that need not be there: undefined where it is not.
 *
 * @throws RlpaError `invalid-file` when it is not JSON, `file-failed`
 */
export function readJsonIfThere(path: string): Promise<unknown> {
  return readJson(path).catch((error: unknown) => {
    if (saysMissing(error)) return undefined;
    throw error;
  });
}

/** A file of text; throws as {@link readJson} does. */
export async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw fileError(path, cause);
  });
}
