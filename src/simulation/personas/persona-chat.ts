import { CsvError, parse } from 'csv-parse/browser/esm/sync';
import { checkKnown, RlpaError } from '../../errors';
import { ProfileSchema, slot } from '../../profile/index';
import type { Persona } from '../persona';

/** One speaker of a recorded dialogue: facts about them, and what they said in order. */
export interface RecordedSpeaker {
  readonly facts: readonly string[];
  readonly messages: readonly string[];
}

/** A recorded dialogue between two people. */
export interface RecordedDialogue {
  /** 1-based, without the header. */
  readonly row: number;
  readonly speakers: readonly [RecordedSpeaker, RecordedSpeaker];
  readonly messages: readonly { readonly speaker: 1 | 2; readonly text: string }[];
}

/** Recorded people are described in sentences that belong to no typed slot. */
export const factsSchema = ProfileSchema.define({
  facts: slot.open({ description: 'what is true of the user, one short sentence each', matching: 'fuzzy' }),
});

const columns = ['user 1 personas', 'user 2 personas', 'Best Generated Conversation'] as const;

/**
 * Reads dialogues in the layout of Google's Synthetic-Persona-Chat: a CSV file with the persona sentences of both users and a
 * conversation whose lines begin with "User 1:" or "User 2:". Lines without a speaker belong to the message before; messages of one
 * speaker in a row are one message; stage directions in brackets are nobody's. Where the first label is "User 2:", what stands before
 * it is User 1's.
 *
 * @throws `invalid-file` with the row for unequal or missing columns and lines that no one says; `invalid-persona` for a user without
 * persona sentences or without messages.
 * @example
 * import { readFile } from 'node:fs/promises';
 * import { parsePersonaChat } from 'rlpa';
 * const { dialogues } = parsePersonaChat(await readFile('valid.csv', 'utf8'));
 */
export function parsePersonaChat(csv: string): { dialogues: RecordedDialogue[] } {
  const [header, ...rows] = readCsv(csv);
  if (!header) throw new RlpaError('invalid-file', 'The dialogue file is empty.');
  const [first, second, conversation] = columns.map((column) => {
    const index = header.findIndex((name) => name.trim().toLowerCase() === column.toLowerCase());
    if (index < 0) {
      throw new RlpaError(
        'invalid-file',
        `The dialogue file has no column "${column}"; found ${header.map((name) => `"${name}"`).join(', ')}.`,
        {
          column,
        },
      );
    }
    return index;
  }) as [number, number, number];
  if (rows.length === 0) throw new RlpaError('invalid-file', 'The dialogue file has a header and no dialogues.');
  return {
    dialogues: rows.map((cells, index) => {
      const row = index + 1;
      if (cells.length !== header.length) {
        throw new RlpaError('invalid-file', `Row ${row} has ${cells.length} columns; the header has ${header.length}.`, { row });
      }
      const messages = readConversation(cells[conversation]!, row);
      const speaker = (number: 1 | 2, facts: string): RecordedSpeaker => ({
        facts: lines(facts),
        messages: messages.filter((message) => message.speaker === number).map((message) => message.text),
      });
      const speakers = [speaker(1, cells[first]!), speaker(2, cells[second]!)] as const;
      for (const [position, { facts, messages }] of speakers.entries()) {
        const missing = facts.length === 0 ? 'persona sentences' : messages.length === 0 ? 'messages' : undefined;
        if (missing)
          throw new RlpaError('invalid-persona', `Row ${row}: user ${position + 1} has no ${missing}.`, { row, user: position + 1 });
      }
      return { row, speakers, messages };
    }),
  };
}

/**
 * Both speakers of every dialogue as personas to be replayed; their golden profile is their persona sentences in one free-form slot.
 *
 * @param options.schema a schema with a slot for a list of sentences; `factsSchema` by default
 * @param options.slot that slot
 * @throws `invalid-persona` with the row when the schema refuses a sentence.
 */
export function recordedPersonas(
  dialogues: readonly RecordedDialogue[],
  options: { readonly schema?: ProfileSchema; readonly slot?: string } = {},
): Persona[] {
  checkKnown('recordedPersonas', options, { schema: true, slot: true });
  const { schema = factsSchema as ProfileSchema, slot = 'facts' } = options;
  return dialogues.flatMap(({ row, speakers }) =>
    speakers.map(({ facts, messages }, index): Persona => {
      const { profile, rejected } = schema.safeProfile({ [slot]: facts });
      if (rejected[0]) {
        throw new RlpaError('invalid-persona', `Row ${row}, user ${index + 1}, slot "${slot}": ${rejected[0].reason}.`, { row, slot });
      }
      return { id: `dialogue-${row}/user-${index + 1}`, profile, messages };
    }),
  );
}

function readCsv(csv: string): string[][] {
  try {
    return parse(csv, { bom: true, relaxColumnCount: true, skipEmptyLines: true });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new RlpaError('invalid-file', `The dialogue file is not CSV: ${error.message}`, {}, { cause: error });
  }
}

function readConversation(text: string, row: number): RecordedDialogue['messages'] {
  const messages: { speaker: 1 | 2; text: string }[] = [];
  const opening: string[] = [];
  const add = (speaker: 1 | 2, line: string) => {
    const last = messages.at(-1);
    if (last?.speaker === speaker) last.text = `${last.text}\n${line}`.trim();
    else messages.push({ speaker, text: line });
  };
  for (const line of lines(text)) {
    const label = /^[*\s]*user\s*(\d+)\s*[*\s]*:[*\s]*(.*?)[*\s]*$/i.exec(line);
    if (label) {
      const speaker = Number(label[1]);
      if (speaker !== 1 && speaker !== 2) {
        throw new RlpaError(
          'invalid-file',
          `Row ${row}: a conversation is between "User 1:" and "User 2:"; found ${JSON.stringify(line)}.`,
          { row },
        );
      }
      if (opening.length > 0 && messages.length === 0) {
        if (speaker === 1) throw unlabelled(opening[0]!, row);
        add(1, opening.join('\n'));
      }
      add(speaker, label[2]!);
    } else if (!/^(\[.*\]?|\(.*\)|[*\s-]+)$/.test(line)) {
      const last = messages.at(-1);
      if (last) add(last.speaker, line);
      else opening.push(line);
    }
  }
  if (messages.length === 0)
    throw opening[0] ? unlabelled(opening[0], row) : new RlpaError('invalid-file', `Row ${row} has no conversation.`, { row });
  return messages.filter((message) => message.text !== '');
}

function unlabelled(line: string, row: number): RlpaError {
  return new RlpaError(
    'invalid-file',
    `Row ${row}: a conversation line begins with "User 1:" or "User 2:"; found ${JSON.stringify(line.slice(0, 80))}.`,
    {
      row,
    },
  );
}

function lines(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
