import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { invalidOption } from '../src/errors';

describe('the error for an option that makes no sense', () => {
  it('says whose option it is, what was expected and what was found', () => {
    const error = invalidOption('fileStore', 'folder', 'the path of a folder', 7);
    expect(error).toMatchObject({ code: 'invalid-option', details: { option: 'folder', expected: 'the path of a folder', found: 7 } });
    expect(error.message).toBe("fileStore, option 'folder': expected the path of a folder, found 7.");
  });

  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    [Number.NaN, 'NaN'],
    [false, 'false'],
    ['', "''"],
    ['two\nlines', "'two\\nlines'"],
    ['a'.repeat(81), `'${'a'.repeat(79)}…'`],
    [[1, 2], 'a list of 2'],
    [{ a: 1 }, 'an object'],
    [() => {}, 'a function'],
  ])('shows %j as %s', (found, words) => {
    expect(invalidOption('it', 'x', 'y', found).message).toBe(`it, option 'x': expected y, found ${words}.`);
  });

  it.each([[{ apiKey: 'sk-secret' }], [['sk-secret']], [() => 'sk-secret']])('keeps to itself what is inside: %o', (found) => {
    expect(inspect(invalidOption('it', 'x', 'y', found), { depth: 9 })).not.toContain('sk-secret');
  });

  it('tells no text either where one may be a key', () => {
    const error = invalidOption('it', 'store', 'a store', 'postgres://me:secret@host/db', true);
    expect(error.message).toBe("it, option 'store': expected a store, found a text.");
    expect(inspect(error)).not.toContain('secret');
  });
});
