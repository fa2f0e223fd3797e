import { RlpaError } from '../errors';

/** What the operating system said, as an error of ours: `invalid-file` where the file is not there, else `file-failed`. */
export function fileError(path: string, cause: unknown): RlpaError {
  if (RlpaError.isInstance(cause)) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return new RlpaError('invalid-file', `${path}: there is no such file or folder.`, { file: path }, { cause });
  if (code === 'ENOTDIR' || code === 'EEXIST') {
    return new RlpaError(
      'invalid-file',
      `${path}: expected a folder, found a file in its place or on the way to it.`,
      { file: path },
      { cause },
    );
  }
  return new RlpaError('file-failed', `${path}: ${(cause as Error).message}`, { file: path, code }, { cause });
}

/** Whether an error, the system's own or one of {@link fileError}, says that a file is not there. */
export function saysMissing(error: unknown): boolean {
  const cause = RlpaError.isInstance(error) ? error.cause : error;
  return (cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}
