import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Episode } from '../environment/index';
import { RlpaError } from '../errors';
import { fileError } from './file-error';

/**
 * A file of JSON lines that grows by whole lines, in the order of the calls. Typed arrays become lists. A line that an earlier process
 * left half-written is cut off before the first append.
 *
 * @example
 * const log = new JsonLines('run/notes.jsonl');
 * await log.append({ step: 1 });
 */
export class JsonLines<T = unknown> {
  readonly path: string;
  #last: Promise<void> | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** @throws RlpaError `file-failed`; then every later append fails too, so that no line is lost in the middle */
  append(value: T): Promise<void> {
    const line = `${JSON.stringify(value, plainArrays)}\n`;
    this.#last ??= prepare(this.path);
    this.#last = this.#last
      .then(() => appendFile(this.path, line))
      .catch((cause: unknown) => {
        throw fileError(this.path, cause);
      });
    // Whoever waits for it sees the failure; with nobody waiting, close() reports it.
    this.#last.catch(() => {});
    return this.#last;
  }

  /**
   * Waits until everything is written.
   *
   * @throws RlpaError `file-failed` when an append failed
   */
  async close(): Promise<void> {
    await this.#last;
  }
}

/** Keeps finished episodes, one a line: every state, action with its tokens, reward part, verdict and disclosure. */
export function episodeLog(path: string): JsonLines<Episode> {
  return new JsonLines(path);
}

/**
 * The values of a file of JSON lines. A last line without its line break was being written when its process died, and is left out.
 *
 * @throws RlpaError `invalid-file` naming the line that is not JSON, or when the file is missing
 */
export async function readJsonLines<T = unknown>(path: string): Promise<T[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw fileError(path, cause);
  });
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line) as T];
    } catch (cause) {
      throw new RlpaError(
        'invalid-file',
        `${path}, line ${i + 1}: not JSON: ${(cause as Error).message}`,
        { file: path, line: i + 1 },
        { cause },
      );
    }
  });
}

/** Makes the folder, and cuts a torn last line off a file that is there. */
async function prepare(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'r+').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw cause;
  });
  if (file === undefined) return;
  try {
    const bytes = await file.readFile();
    const whole = bytes.lastIndexOf(0x0a) + 1;
    if (whole < bytes.byteLength) await file.truncate(whole);
  } finally {
    await file.close();
  }
}

function plainArrays(_key: string, value: unknown): unknown {
  return ArrayBuffer.isView(value) && !(value instanceof DataView) ? Array.from(value as unknown as ArrayLike<number>) : value;
}
