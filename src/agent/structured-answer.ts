import { isObject } from '../json-object';
import { type ProfileChange, type RejectedValue, type SlotDefinition, valueSchemas } from '../profile/index';
import { quoted } from '../quoted';
import { JsonReplyReader } from './json-reply-reader';
import { wellFormed } from './well-formed';

/** A change that the model proposes, with the user's words that it says it went by. */
export interface ProposedChange extends ProfileChange {
  readonly quote?: string;
  /** A removal that nobody asked for: an answer in the text form left the value out. */
  readonly isOmission?: true;
}

export type StructuredAnswer =
  | { readonly ok: true; readonly changes: readonly ProposedChange[]; readonly rejected: readonly RejectedValue[]; readonly reply: string }
  | {
      readonly ok: false;
      readonly problem: { readonly code: 'invalid-json' | 'empty-response'; readonly message: string };
      readonly reply?: string;
    };

/** The JSON Schema of an answer: strict, every field required, one kind of change for each slot. */
export function answerJsonSchema(slots: readonly SlotDefinition[]): Record<string, unknown> {
  return changesJsonSchema(slots, { reply: { type: 'string' } });
}

/** The same without a reply. */
export function profileJsonSchema(slots: readonly SlotDefinition[]): Record<string, unknown> {
  return changesJsonSchema(slots, {});
}

function changesJsonSchema(slots: readonly SlotDefinition[], others: Record<string, unknown>): Record<string, unknown> {
  const { values, root } = valueSchemas(slots);
  const change = (slot: SlotDefinition) =>
    strictObject({
      // First, so that it decides which kind of change the rest is of: a strict schema asks for that.
      slot: { type: 'string', enum: [slot.key] },
      op: { type: 'string', enum: slot.cardinality === 'one' ? ['set', 'remove'] : ['add', 'remove'] },
      value: slot.cardinality === 'one' ? orNull(values[slot.key]!) : values[slot.key],
      evidence: { type: ['string', 'null'] },
    });
  // Where no slot may be filled: servers ask for a type of the elements, and refuse a choice among none, or `maxItems`.
  const items = slots.length > 0 ? { anyOf: slots.map(change) } : { type: 'string' };
  return { ...strictObject({ changes: { type: 'array', items }, ...others }), ...root };
}

/** What a slot of one value holds need not be named to be removed. */
function orNull(value: Record<string, unknown>): Record<string, unknown> {
  return { anyOf: [value, { type: 'null' }] };
}

function strictObject(properties: Record<string, unknown>): Record<string, unknown> {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

/**
 * Reads an answer. Never throws: of a broken one the reply is saved where there is one. Text around the JSON, as a Markdown fence or a
 * greeting, does not matter. The reply is the one that `JsonReplyReader` streams.
 */
export function parseStructuredAnswer(text: string): StructuredAnswer {
  const streamed = wellFormed(new JsonReplyReader().push(text));
  const answer = readAnswer(text);
  if (typeof answer === 'string') {
    const problem = {
      code: 'invalid-json',
      message: `Expected JSON with "changes" and "reply", found ${quoted(text)}: ${answer}.`,
    } as const;
    const reply = streamed.trim() === '' ? plainReply(text) : streamed;
    return { ok: false, problem, ...(reply && { reply }) };
  }
  if (streamed.trim() === '') return { ok: false, problem: { code: 'empty-response', message: 'The reply is empty.' } };
  const changes: ProposedChange[] = [];
  const rejected: RejectedValue[] = [];
  for (const element of answer.changes) {
    const change = readChange(element);
    if (change) changes.push(change);
    else rejected.push({ slot: slotNamedBy(element), value: element, reason: 'a change has "op", "slot" and "value"' });
  }
  return { ok: true, changes, rejected, reply: streamed };
}

/** → what is wrong with it, if it is not of the form. */
function readAnswer(text: string): { readonly changes: readonly unknown[] } | string {
  let answer: unknown;
  try {
    answer = JSON.parse(jsonIn(text), (_, value) => (typeof value === 'string' ? wellFormed(value) : value));
  } catch {
    return 'it is not JSON';
  }
  if (!isObject(answer) || !Array.isArray(answer.changes)) return '"changes" is not a list';
  if (typeof answer.reply !== 'string') return '"reply" is not a text';
  return { changes: answer.changes };
}

function readChange(element: unknown): ProposedChange | undefined {
  if (!isObject(element)) return undefined;
  const { op, slot, value, evidence } = element;
  if ((op !== 'set' && op !== 'add' && op !== 'remove') || typeof slot !== 'string') return undefined;
  if (evidence !== undefined && evidence !== null && typeof evidence !== 'string') return undefined;
  // Where a value is asked for, "" is how a model says that it names none.
  const isNone = value === null || (op === 'remove' && typeof value === 'string' && value.trim() === '');
  return { op, slot, value: isNone ? undefined : value, ...(evidence && { quote: evidence }) };
}

/** The slot that a broken change is about; empty where it names none. */
function slotNamedBy(element: unknown): string {
  return isObject(element) && typeof element.slot === 'string' ? element.slot : '';
}

/** From the first brace to the last. */
function jsonIn(text: string): string {
  return text.slice(Math.max(0, text.indexOf('{')), text.lastIndexOf('}') + 1);
}

/** Text that never began as JSON is a reply itself. */
function plainReply(text: string): string | undefined {
  return /^[\s\ufeff]*(?:```\w*\s*)?[{[]/.test(text) || text.trim() === '' ? undefined : text;
}
