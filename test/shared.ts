import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

const root = process.env.RLPA_SHARED ?? resolve(dirname(fileURLToPath(import.meta.url)), '../../shared');

/** Where the reference data lies: golden tensors, a published checkpoint, recorded dialogues. */
export function sharedPath(path: string): string {
  return join(root, path);
}

/** A suite over the reference data. Without it the suite is skipped, and says why; where CI promises it, it runs and fails. */
export function describeWithShared(name: string, path: string, suite: () => void | Promise<void>): void {
  const present = existsSync(sharedPath(path));
  if (present || process.env.CI === 'true') describe(name, suite);
  // Not `suite` itself: a skipped suite's body runs all the same, and would look for the files.
  else describe.skip(name, () => it(`(skipped: ${path} is not at ${root}; set RLPA_SHARED)`, () => {}));
}
