import { describe, expect, it } from 'vitest';
import { userKey } from '../../src/node/stores/user-key';
import { unusualIds } from './conformance';

describe('userKey', () => {
  it('says who is meant where that is possible', () => {
    expect(userKey('anna-7')).toBe('anna-7');
    expect(userKey('anna@example.com')).toBe('anna@example%2ecom');
    expect(userKey('Anna €')).toBe('%41nna%20%u20ac');
  });

  it('is a name that any file system takes, and another one for each id, whatever it makes of capitals', () => {
    const keys = unusualIds.map(userKey);
    for (const key of keys) expect(key).toMatch(/^[a-z0-9_@%~-]{1,120}$/);
    expect(new Set(keys.map((key) => key.toLowerCase().normalize('NFD'))).size).toBe(unusualIds.length);
  });

  it('does not change, since it is what users are found by', () => {
    // sha256sum of those 121 characters
    expect(userKey(`${'x'.repeat(120)}1`)).toBe(`${'x'.repeat(32)}~3b9b0f01a2f26fe022da4f5a9dafa004fff2935ea2d277fdcccea1ab133a2eb4`);
  });
});
