import { checkKnown } from '../errors';
import { quoted } from '../quoted';
import type { Profile } from './profile';
import type { ProfileSchema, SlotMap } from './schema';
import type { SlotDefinition } from './slot';
import { type RejectedValue, type SlotReading, unstableType } from './slot-items';

/*
 * The text form of an action. The tags are the frame; whatever stands between them is data:
 * - In a value, `\` is written `\\`, a line break `\n` or `\r`, and `;` in a list `\;`.
 * - A tag inside a value or a reply gets a backslash after its `<`: `</profile>` becomes `<\/profile>`, `<\/profile>` becomes
 *   `<\\/profile>`. So an unescaped tag always belongs to the frame, and every text comes back as it was.
 */
export const openProfile = '<profile>';
const closeProfile = '</profile>';
export const openResponse = '<response>';
const closeResponse = '</response>';
const anyTag = /<\/?(?:profile|response)>/;

export type TurnProblemCode =
  | 'no-profile'
  | 'unclosed-profile'
  | 'bad-line'
  | 'unknown-slot'
  | 'invalid-value'
  | 'duplicate-slot'
  | 'no-response'
  | 'unclosed-response'
  | 'empty-response'
  | 'nested-tag'
  | 'stray-text'
  | 'trailing-text';

/** Why a text is not a turn. */
export interface TurnProblem {
  readonly code: TurnProblemCode;
  readonly message: string;
  /** 1-based line of the text, where there is one to point at. */
  readonly line?: number;
}

export type ParsedTurn<S extends SlotMap = SlotMap> =
  | {
      readonly ok: true;
      readonly profile: Profile<S>;
      readonly reply: string;
      /** What the profile block held that the schema does not take; always empty unless it was to be tolerated. */
      readonly rejected: readonly RejectedValue[];
    }
  | {
      readonly ok: false;
      /** The first thing that is wrong. */
      readonly problem: TurnProblem;
      /** What was valid in the profile block, if there was one. */
      readonly profile?: Profile<S>;
      /** What can be shown to the user all the same. */
      readonly reply?: string;
    };

export interface ParseOptions {
  /**
   * A slot that the schema does not have, a value that its slot does not take, or a second line for a slot of one value is left out and
   * reported in `rejected`, and further lines for a list belong to it: none of these makes the turn malformed. Default false: in training
   * they do, for a policy is to learn the form.
   */
  readonly tolerateValues?: boolean | undefined;
}

/**
 * Writes a turn. Slots come in the schema's order, one line each; slots that hold nothing have none.
 *
 * @example
 * import { formatTurn, ProfileSchema } from 'rlpa';
 * const profile = ProfileSchema.standard.profile({ occupation: 'nurse', interests: ['hiking', 'jazz'] });
 * formatTurn(profile, 'How was the shift?');
 */
export function formatTurn(profile: Profile, reply: string): string {
  return `${formatProfileBlock(profile)}\n\n${openResponse}\n${escapeTags(reply.trim())}\n${closeResponse}`;
}

/** The `<profile>` block alone. */
export function formatProfileBlock(profile: Profile): string {
  const lines = Object.values(profile.schema.slots).map(({ key, label, cardinality }) => {
    const items = profile.itemsOf(key);
    if (items.length === 0) return '';
    return `- ${label}: ${items.map((item) => escapeValue(item.text, cardinality === 'many')).join('; ')}\n`;
  });
  return `${openProfile}\n${escapeTags(lines.join(''))}${closeProfile}`;
}

/**
 * Reads a turn. No text makes it throw: what is not of the form is a typed problem, with whatever could be saved. The blank line between the
 * blocks may be missing and white space around blocks and lines is ignored; any other text outside the blocks is a problem. Words
 * become numbers, booleans or objects where the slot's type asks for them.
 *
 * @example
 * import { parseTurn, ProfileSchema } from 'rlpa';
 * const answer = '<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nHow was the shift?\n</response>';
 * const turn = parseTurn(ProfileSchema.standard, answer);
 * if (turn.ok) console.log(turn.profile.values, turn.reply);
 * else console.warn(turn.problem.code, turn.reply);
 */
export function parseTurn<S extends SlotMap>(schema: ProfileSchema<S>, text: string, options: ParseOptions = {}): ParsedTurn<S> {
  checkKnown('parseTurn', options, { tolerateValues: true });
  const { tolerateValues = false } = options;
  let problem: TurnProblem | undefined;
  const rejected: RejectedValue[] = [];
  const report: Report = (code, message, at, refused) => {
    if (refused && tolerateValues) rejected.push(refused);
    else problem ??= { code, message, ...(at !== undefined && { line: lineAt(text, at) }) };
  };
  const responseAt = text.indexOf(openResponse);
  const frameEnd = responseAt < 0 ? text.length : responseAt;
  const profile = readProfileBlock(schema, text.slice(0, frameEnd), report, tolerateValues);
  const reply = responseAt < 0 ? undefined : readResponseBlock(text, responseAt + openResponse.length, report);
  if (responseAt < 0) report('no-response', `The text has no ${openResponse} block.`);
  if (profile && reply && !problem) return { ok: true, profile, reply, rejected };
  const saved = responseAt < 0 ? looseReply(text) : reply;
  return { ok: false, problem: problem!, ...(profile && { profile }), ...(saved && { reply: saved }) };
}

/** @param refused where all that is wrong is a value, which may be left out */
type Report = (code: TurnProblemCode, message: string, at?: number, refused?: RejectedValue) => void;

/** `text` ends where the response begins. */
function readProfileBlock<S extends SlotMap>(
  schema: ProfileSchema<S>,
  text: string,
  report: Report,
  mayRepeatLists: boolean,
): Profile<S> | undefined {
  const open = text.indexOf(openProfile);
  if (open < 0) {
    report('no-profile', `The text has no ${openProfile} block before the response.`);
    return undefined;
  }
  if (text.slice(0, open).trim()) report('stray-text', `Text before ${openProfile}.`, 0);
  const start = open + openProfile.length;
  const close = text.indexOf(closeProfile, start);
  if (close < 0) report('unclosed-profile', `${openProfile} is not closed.`, open);
  const profile = readLines(schema, text.slice(0, close < 0 ? text.length : close), start, report, mayRepeatLists);
  const after = close + closeProfile.length;
  if (close >= 0 && text.slice(after).trim()) report('stray-text', `Text between ${closeProfile} and ${openResponse}.`, after);
  return profile;
}

function readLines<S extends SlotMap>(
  schema: ProfileSchema<S>,
  text: string,
  start: number,
  report: Report,
  mayRepeatLists: boolean,
): Profile<S> {
  const lists = new Map<string, unknown[]>();
  const values: Record<string, unknown> = {};
  const seen = new Set<string>();
  let at = start;
  for (const rawLine of text.slice(start).split('\n')) {
    const lineStart = at;
    at += rawLine.length + 1;
    if (rawLine.trim() === '') continue;
    const line = unescapeTags(rawLine).trim();
    const colon = line.indexOf(':');
    const label = line.slice(1, Math.max(1, colon)).trim();
    if (!line.startsWith('-') || !label || anyTag.test(rawLine)) {
      report('bad-line', `Expected "- Label: value", found ${quoted(line)}.`, lineStart);
      continue;
    }
    const slot = schema.slotByLabel(label);
    if (!slot) {
      const refused = { slot: label, value: line.slice(colon + 1).trim(), reason: 'the schema has no such slot' };
      report('unknown-slot', `The schema has no slot ${quoted(label)}.`, lineStart, refused);
      continue;
    }
    const isList = slot.cardinality === 'many';
    if (seen.has(slot.key) && !(isList && mayRepeatLists)) {
      const refused = { slot: slot.key, value: line.slice(colon + 1).trim(), reason: 'an earlier line has the slot' };
      report('duplicate-slot', `A second line for slot "${slot.label}".`, lineStart, refused);
      continue;
    }
    seen.add(slot.key);
    for (const part of splitValues(line.slice(colon + 1), slot)) {
      const reading = readText(schema, slot, part);
      if (!reading.ok) {
        const { reason } = reading;
        report('invalid-value', `Slot "${slot.label}": ${reason}.`, lineStart, { slot: slot.key, value: part, reason });
      } else if (isList) {
        const list = lists.get(slot.key);
        if (list) list.push(reading.value);
        else lists.set(slot.key, [reading.value]);
      } else values[slot.key] = reading.value;
    }
  }
  return schema.safeProfile({ ...values, ...Object.fromEntries(lists) }).profile;
}

/** The values on a line, unescaped. A line without any counts as one empty value, which no slot takes. */
function splitValues(written: string, slot: SlotDefinition): string[] {
  if (slot.cardinality === 'one') return [unescapeValue(written.trim())];
  const parts = written.match(/(?:\\.|[^;\\]|\\$)+/gs) ?? [];
  const values = parts.map((part) => part.trim()).filter((part) => part !== '');
  return values.length > 0 ? values.map(unescapeValue) : [''];
}

/** Text first; then, where the slot's type refuses it, the number, boolean or object that it spells. */
function readText(schema: ProfileSchema, slot: SlotDefinition, text: string): SlotReading {
  const asText = schema.read(slot.key, text);
  if (asText.ok || asText.reason === unstableType) return asText;
  const value = spelledValue(text);
  return value === undefined ? asText : schema.read(slot.key, value);
}

function spelledValue(text: string): unknown {
  if (text.length <= 40 && /^[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(text)) return Number(text);
  if (/^(?:yes|true)$/i.test(text)) return true;
  if (/^(?:no|false)$/i.test(text)) return false;
  if (!/^[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The first response with anything in it. It ends at the first tag, whichever that is. */
function readResponseBlock(text: string, opened: number, report: Report): string | undefined {
  for (let start = opened; ; ) {
    const rest = text.slice(start);
    const end = rest.search(anyTag);
    const reply = unescapeTags(end < 0 ? withoutBegunTag(rest) : rest.slice(0, end)).trim();
    if (end < 0) report('unclosed-response', `${openResponse} is not closed.`, start);
    else if (!rest.startsWith(closeResponse, end)) report('nested-tag', 'The reply holds a tag of the form.', start + end);
    else if (/\S/.test(rest.slice(end + closeResponse.length))) report('trailing-text', `Text after ${closeResponse}.`, start + end);
    if (reply) return reply;
    report('empty-response', 'The reply is empty.', start);
    const next = end < 0 ? -1 : text.indexOf(openResponse, start + end);
    if (next < 0) return undefined;
    start = next + openResponse.length;
  }
}

/**
 * What a model that did not keep the form may have meant as its reply: the text outside a profile block; of one that is not closed, what
 * stands after a blank line and is no list.
 */
function looseReply(text: string): string | undefined {
  const open = text.indexOf(openProfile);
  const close = text.indexOf(closeProfile);
  let loose = text;
  if (close > open) loose = (open < 0 ? '' : text.slice(0, open)) + text.slice(close + closeProfile.length);
  else if (open >= 0) loose = text.slice(0, open) + (/\n[ \t\r]*\n\s*(?!\s|-)([\s\S]*)$/.exec(text.slice(open))?.[1] ?? '');
  const [reply = ''] = loose.split(anyTag);
  return unescapeTags(withoutBegunTag(reply)).trim() || undefined;
}

/** Of a text that is cut off, what comes before a tag that has only begun. */
function withoutBegunTag(text: string): string {
  const at = text.lastIndexOf('<');
  return at >= 0 && mayBecomeTag(text.slice(at)) ? text.slice(0, at) : text;
}

/** Whether this is a tag, escaped or not, that has only begun. */
export function mayBecomeTag(text: string): boolean {
  const name = text.replace(/^<\\*/, '');
  return ['profile>', 'response>', '/profile>', '/response>'].some((tag) => tag !== name && tag.startsWith(name));
}

function escapeValue(text: string, inList: boolean): string {
  if (!/[\\\n\r;]/.test(text)) return text;
  const escaped = text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/\r/g, '\\r');
  return inList ? escaped.replace(/;/g, '\\;') : escaped;
}

function unescapeValue(text: string): string {
  return text.replace(/\\([\\nr;])/g, (_, character: string) => (character === 'n' ? '\n' : character === 'r' ? '\r' : character));
}

/** Makes tags in a text data. */
export function escapeTags(text: string): string {
  return text.replace(/<(\\*\/?(?:profile|response)>)/g, '<\\$1');
}

export function unescapeTags(text: string): string {
  return text.replace(/<\\(\\*\/?(?:profile|response)>)/g, '<$1');
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
