import { createHash } from 'node:crypto';

/** So that a name made of a key stays below the 255 bytes that file systems take. */
const longestKey = 120;

/**
 * A user id as a name that every file system and database takes: small letters, digits and `_-@%~` alone. Different ids have different
 * keys, also where capitals, Unicode forms or halves of surrogate pairs are all that differs. What else stands in an id is written as
 * its UTF-16 units, `%2e` or `%u20ac`; of a long id the key holds the beginning and a SHA-256.
 */
export function userKey(userId: string): string {
  const key = userId.replace(/[^a-z0-9_@-]/g, (unit) => {
    const hex = unit.charCodeAt(0).toString(16);
    return hex.length > 2 ? `%u${hex.padStart(4, '0')}` : `%${hex.padStart(2, '0')}`;
  });
  if (key.length <= longestKey) return key;
  return `${key.slice(0, 32)}~${createHash('sha256').update(key).digest('hex')}`;
}
