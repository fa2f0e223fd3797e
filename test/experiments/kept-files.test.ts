import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runExperiment } from '../../src/experiments/index';
import { checkSameRun, runOf } from '../../src/experiments/kept-run';
import { findPeople } from '../../src/experiments/people';
import { readSetting } from '../../src/experiments/setting-file';
import { temporaryFolder } from '../node/temporary-folder';

const folder = temporaryFolder();

describe('the setting beside a policy', () => {
  it('of an earlier version, which says no size, is of size tiny where it has the instruction of a policy that started from nothing', async () => {
    const setting = { profile: 'short', instruction: 'Note and reply.', history: 'keep' };
    const pretrained = { ...setting, instruction: 'Answer with a profile and a response.' };
    for (const [found, expected] of [
      [setting, { ...setting, size: 'tiny' }],
      [
        { ...setting, size: 'micro' },
        { ...setting, size: 'micro' },
      ],
      [pretrained, pretrained],
    ]) {
      writeFileSync(join(folder, 'rlpa.json'), JSON.stringify(found));
      expect(await readSetting(folder)).toEqual(expected);
    }
  });

  it('need not be there, but has to be readable where it is', async () => {
    expect(await readSetting(join(folder, 'elsewhere'))).toBeUndefined();
    const path = join(folder, 'unreadable', 'rlpa.json');
    mkdirSync(path, { recursive: true });
    await expect(readSetting(join(folder, 'unreadable'))).rejects.toMatchObject({ code: 'file-failed', details: { file: path } });
  });
});

describe('a file that a run keeps beside its policy, damaged', () => {
  it.each(['toString', 'long', null])('is named where its profile is %s', async (profile) => {
    const path = join(folder, 'rlpa.json');
    writeFileSync(path, JSON.stringify({ profile, instruction: 'Note and reply.', history: 'keep' }));
    await expect(readSetting(folder)).rejects.toMatchObject({ code: 'invalid-file', details: { file: path } });
  });

  it('is named where its size is none', async () => {
    const path = join(folder, 'rlpa.json');
    writeFileSync(path, JSON.stringify({ profile: 'short', instruction: 'Note and reply.', history: 'keep', size: 'huge' }));
    await expect(readSetting(folder)).rejects.toMatchObject({
      code: 'invalid-file',
      message: expect.stringContaining('size (tiny, micro)'),
    });
  });

  it.each(['null', '{"seed": 1'])('is named where it says of the run %s', async (text) => {
    const path = join(folder, 'run.json');
    writeFileSync(path, text);
    const resumed = runExperiment({ people: 'generated', seed: 1, reward: 'both', size: 'micro', outDir: folder, resume: true });
    await expect(resumed).rejects.toMatchObject({ code: 'invalid-file', details: { file: path } });
  });
});

describe('what is written down of a run', () => {
  const given = { people: { csv: 'people.csv' }, seed: 1, reward: 'both', policyFolder: './models/m' } as const;
  const whole = { people: { csv: resolve('people.csv') }, policyFolder: resolve('models/m') };

  it('has whole paths, so that it can be gone on with from another working directory', () => {
    expect(JSON.parse(JSON.stringify(runOf(given)))).toEqual({ ...given, ...whole });
  });

  it('is the same run however its paths are given, and were written by an earlier version', () => {
    for (const written of [runOf(given), { ...given }]) {
      for (const options of [given, { ...given, ...whole }, { ...given, policyFolder: 'models/../models/m/' }])
        checkSameRun(written, options);
      expect(() => checkSameRun(written, { ...given, policyFolder: 'models/other' })).toThrow(/policyFolder was ".*m" and is ".*other"/);
    }
  });
});

it('a file of dialogues that the system refuses to read is named with its reason', async () => {
  const people = findPeople({ people: { csv: folder }, profile: 'facts', seed: 1, users: 1, evalUsers: 1 });
  await expect(people).rejects.toMatchObject({
    code: 'file-failed',
    message: expect.stringMatching(/: EISDIR/),
    details: { file: folder },
  });
});
