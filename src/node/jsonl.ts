import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Episode, serializeEpisode } from '../environment/index';
import { RlpaError } from '../errors';
import { fileError } from './file-error';

/**
 * A file of JSON lines that grows by whole lines, in the order of the calls. A line that an earlier process left half-written is cut off
 * before the first append.
 *
 * @example
 * import { JsonLines } from 'rlpa/node';
 * const log = new JsonLines('run/notes.jsonl');
 * await log.append({ step: 1 });
 */
export class JsonLines<T = unknown> {
  readonly path: string;
  readonly #serialize: (value: T) => string;
  #last: Promise<void> | undefined;

  /** @param serialize writes a value as JSON without line breaks */
  constructor(path: string, serialize: (value: T) => string = JSON.stringify) {
    this.path = path;
    this.#serialize = serialize;
  }

  /** @throws RlpaError `file-failed`; then every later append fails too, so that no line is lost in the middle */
  append(value: T): Promise<void> {
    const line = `${this.#serialize(value)}\n`;
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

/**
 * Keeps finished episodes, one a line: every state, action with its tokens, reward part, verdict and disclosure.
 *
 * @example
 * import { parseEpisode } from 'rlpa';
 * import { episodeLog, readJsonLines } from 'rlpa/node';
 * import { tinyTask } from 'rlpa/tiny';
 * const { warmStart, environment, heldOut } = tinyTask();
 * const log = episodeLog('run/episodes.jsonl');
 * for (const episode of await environment.rollout({ policy: await warmStart(), personas: heldOut, seed: 1 })) await log.append(episode);
 * const episodes = await readJsonLines('run/episodes.jsonl', (line) => parseEpisode(line, environment.schema));
 */
export function episodeLog(path: string): JsonLines<Episode> {
  return new JsonLines(path, serializeEpisode);
}

/**
 * The values of a file of JSON lines. A last line without its line break was being written when its process died, and is left out.
 *
 * @throws RlpaError `invalid-file` when the file is missing, or with the code that `parse` gives; `details.line` names the line
 */
export async function readJsonLines<T = unknown>(path: string, parse: (line: string) => T = JSON.parse): Promise<T[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw fileError(path, cause);
  });
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [parse(line)];
    } catch (cause) {
      const message = `${path}, line ${i + 1}: ${(cause as Error).message}`;
      throw new RlpaError(RlpaError.isInstance(cause) ? cause.code : 'invalid-file', message, { file: path, line: i + 1 }, { cause });
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
