import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runExperiment } from '../../src/experiments/index';
import { readSetting } from '../../src/experiments/setting-file';

const folder = mkdtempSync(join(tmpdir(), 'rlpa-kept-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a file that a run keeps beside its policy, damaged', () => {
  it.each(['toString', 'long', null])('is named where its profile is %s', async (profile) => {
    const path = join(folder, 'rlpa.json');
    writeFileSync(path, JSON.stringify({ profile, instruction: 'Note and reply.', history: 'keep' }));
    await expect(readSetting(folder)).rejects.toMatchObject({ code: 'invalid-file', details: { file: path } });
  });

  it.each(['null', '{"seed": 1'])('is named where it says of the run %s', async (text) => {
    const path = join(folder, 'run.json');
    writeFileSync(path, text);
    const resumed = runExperiment({ people: 'generated', seed: 1, reward: 'both', size: 'micro', outDir: folder, resume: true });
    await expect(resumed).rejects.toMatchObject({ code: 'invalid-file', details: { file: path } });
  });
});
