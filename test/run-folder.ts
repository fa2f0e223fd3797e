import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const variable = 'RLPA_TEST_RUN_FOLDER';

/** What test files make once for all of them: a folder that ends with the run. */
export default function openRunFolder(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'rlpa-tests-'));
  process.env[variable] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/** A file of this run, written by whoever needs it first. → its path */
export async function madeOnce(name: string, write: (path: string) => Promise<void>): Promise<string> {
  const folder = process.env[variable];
  if (!folder) throw new Error('There is no run of the tests.');
  const path = join(folder, name);
  if (!existsSync(path)) {
    // two that need it at the same time write the same
    const own = `${path}.${process.pid}`;
    await write(own);
    renameSync(own, path);
  }
  return path;
}
