import type { UserRecord } from '../../agent/index';
import { RlpaError } from '../../errors';
import { isObject } from '../../json-object';

/**
 * A record as the text that stores keep. Control characters and lone surrogates are escaped in it, so that any database takes it.
 *
 * @throws RlpaError `invalid-option` for a record without a user or a version
 */
export function writeRecord(record: UserRecord): string {
  const { userId, version } = record;
  if (typeof userId !== 'string' || !Number.isSafeInteger(version) || version < 1) {
    const found = `userId ${JSON.stringify(userId)}, version ${version}`;
    throw new RlpaError('invalid-option', `A record has a userId and a version from 1, found ${found}.`, { userId, version });
  }
  return JSON.stringify(record);
}

/**
 * The record of a user from what a store kept.
 *
 * @param place what to name when it is damaged
 * @throws RlpaError `invalid-file` if it is not JSON, or not this user's record
 */
export function readRecord(text: string, userId: string, place: string): UserRecord {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (cause) {
    throw new RlpaError('invalid-file', `${place}: not JSON: ${(cause as Error).message}`, { file: place }, { cause });
  }
  if (!isRecordOf(record, userId)) {
    throw new RlpaError('invalid-file', `${place}: expected the record of user ${JSON.stringify(userId)}, found something else.`, {
      file: place,
    });
  }
  return record;
}

function isRecordOf(value: unknown, userId: string): value is UserRecord & Readonly<Record<string, unknown>> {
  if (!isObject(value)) return false;
  const { userId: owner, version, items, turns } = value;
  return owner === userId && Number.isSafeInteger(version) && Array.isArray(items) && Array.isArray(turns);
}
