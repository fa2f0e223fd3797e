import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const variable = 'RLPA_TEST_RUN_FOLDER';

/** What test files make once for all of them: a folder that ends with the run. */
export default function openRunFolder(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'rlpa-tests-'));
  process.env[variable] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/**
 * A file of this run, written by whoever needs it first. → its path
 *
 * @param write makes the file, whole: two may do so at the same time
 */
export async function madeOnce(name: string, write: (path: string) => Promise<void>): Promise<string> {
  const folder = process.env[variable];
  if (!folder) throw new Error(`${variable} is not set: this needs a run of the tests.`);
  const path = join(folder, name);
  if (!existsSync(path)) await write(path);
  return path;
}
