import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JsonLines, readJsonLines, writeWhole } from '../../src/node/index';
import { temporaryFolder } from './temporary-folder';

const root = temporaryFolder();

describe('writing a file whole', () => {
  it('makes its folder and writes the parts one after another', async () => {
    const path = join(root, 'a/b/file.txt');
    await writeWhole(path, ['one ', new TextEncoder().encode('two')]);
    expect(readFileSync(path, 'utf8')).toBe('one two');
    await writeWhole(path, 'three');
    expect(readFileSync(path, 'utf8')).toBe('three');
  });

  it('keeps what was there, and no half file, when it fails in the middle', async () => {
    const folder = join(root, 'kept');
    const path = join(folder, 'file.txt');
    await writeWhole(path, 'before');
    const parts = function* () {
      yield 'half ';
      throw new Error('the disk is full');
    };
    await expect(writeWhole(path, parts())).rejects.toMatchObject({
      code: 'file-failed',
      message: expect.stringContaining('the disk is full'),
    });
    expect(readFileSync(path, 'utf8')).toBe('before');
    expect(readdirSync(folder)).toEqual(['file.txt']);
  });

  it('says which file could not be written', async () => {
    const path = join(root, 'a-folder');
    mkdirSync(path);
    await expect(writeWhole(path, 'x')).rejects.toMatchObject({ code: 'file-failed', details: { file: path } });
  });
});

describe('a file of JSON lines', () => {
  it('keeps the order of appends that nobody waited for', async () => {
    const log = new JsonLines<number>(join(root, 'runs/order.jsonl'));
    for (let i = 0; i < 200; i++) void log.append(i);
    await log.close();
    expect(await readJsonLines(log.path)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('leaves out a torn last line when it is read, and cuts it off before it is appended to', async () => {
    const path = join(root, 'torn.jsonl');
    writeFileSync(path, '{"step":1}\n{"step":2}\n{"st');
    expect(await readJsonLines(path)).toEqual([{ step: 1 }, { step: 2 }]);
    await new JsonLines(path).append({ step: 3 });
    expect(readFileSync(path, 'utf8')).toBe('{"step":1}\n{"step":2}\n{"step":3}\n');
  });

  it('names the line that is broken in the middle', async () => {
    const path = join(root, 'broken.jsonl');
    writeFileSync(path, '1\n');
    appendFileSync(path, 'not json\n3\n');
    await expect(readJsonLines(path)).rejects.toMatchObject({ code: 'invalid-file', details: { file: path, line: 2 } });
  });

  it('is not made before the first append, and says when it is missing', async () => {
    const path = join(root, 'none.jsonl');
    await new JsonLines(path).close();
    expect(existsSync(path)).toBe(false);
    await expect(readJsonLines(path)).rejects.toMatchObject({ code: 'invalid-file' });
  });

  it('reports a failure to everyone who waits, and at the end', async () => {
    const log = new JsonLines(root);
    await expect(log.append(1)).rejects.toMatchObject({ code: 'file-failed' });
    await expect(log.append(2)).rejects.toMatchObject({ code: 'file-failed' });
    await expect(log.close()).rejects.toMatchObject({ code: 'file-failed' });
  });
});
