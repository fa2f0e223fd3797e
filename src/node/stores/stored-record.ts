import type { UserRecord } from '../../agent/index';
import { RlpaError, shown } from '../../errors';
import { isObject } from '../../json-object';

/** Texts that every item has and every turn. What else they hold may differ from one version of the agent to the next. */
const itemTexts = ['id', 'slot', 'text', 'key', 'validFrom'] as const satisfies (keyof UserRecord['items'][number])[];
const turnTexts = ['id', 'at', 'message', 'reply', 'text'] as const satisfies (keyof UserRecord['turns'][number])[];

/**
 * A record as the text that stores keep. Control characters and lone surrogates are escaped in it, so that any database takes it.
 *
 * @throws RlpaError `invalid-option` for what {@link readRecord} would refuse
 */
export function writeRecord(record: UserRecord): string {
  const flaw = flawOf(record);
  if (flaw) throw new RlpaError('invalid-option', `A record to be stored: ${flaw}.`, { userId: record.userId, version: record.version });
  return JSON.stringify(record);
}

/**
 * The record of a user from what a store kept.
 *
 * @param place what to name when it is damaged
 * @throws RlpaError `invalid-file` if it is not JSON, or not this user's record
 */
export function readRecord(text: string, userId: string, place: string): UserRecord {
  const refused = (reason: string, options?: { cause: unknown }) => {
    const message = `${place}: the record of user ${JSON.stringify(userId)} is damaged: ${reason}.`;
    return new RlpaError('invalid-file', message, { file: place, userId }, options);
  };
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (cause) {
    throw refused(`not JSON: ${(cause as Error).message}`, { cause });
  }
  const flaw = flawOf(record);
  if (flaw) throw refused(flaw);
  const kept = record as UserRecord;
  if (kept.userId !== userId) throw refused("userId: expected this user's, found another's");
  return kept;
}

/** What an agent could not work with; undefined for a whole record. What the slots and values are does not matter. */
function flawOf(record: unknown): string | undefined {
  if (!isObject(record)) return `expected an object, found ${shown(record)}`;
  const { userId, version, items, turns } = record;
  if (typeof userId !== 'string') return `userId: expected a text, found ${shown(userId)}`;
  if (!Number.isSafeInteger(version) || (version as number) < 1) return `version: expected a whole number from 1, found ${shown(version)}`;
  return flawIn('items', items, itemTexts) ?? flawIn('turns', turns, turnTexts);
}

function flawIn(name: string, list: unknown, texts: readonly string[]): string | undefined {
  if (!Array.isArray(list)) return `${name}: expected a list, found ${shown(list)}`;
  for (let at = 0; at < list.length; at++) {
    const element: unknown = list[at];
    if (!isObject(element)) return `${name}[${at}]: expected an object, found ${shown(element)}`;
    for (const text of texts) {
      if (typeof element[text] !== 'string') return `${name}[${at}].${text}: expected a text, found ${shown(element[text])}`;
    }
  }
  return undefined;
}
