import {
  diffProfiles,
  formatTurn,
  type ParsedTurn,
  type Profile,
  type ProfileChange,
  type ProfileSchema,
  parseTurn,
  type RejectedValue,
  type SlotDefinition,
  type TurnProblemCode,
  TurnStream,
} from '../profile/index';
import { JsonReplyReader } from './json-reply-reader';
import type { AnswerForm } from './prompt';
import { type ProposedChange, parseStructuredAnswer } from './structured-answer';
import { ThoughtFilter } from './thoughts';
import { WellFormedStream, wellFormed } from './well-formed';

/** Why a turn did not go as it should although there may be a reply. */
export interface AgentProblem {
  /**
   * The answer's form was broken; or (`not-stored`) the turn could not be written to the store, whatever its form; or (`not-inferred`) the
   * call after the reply failed.
   */
  readonly code: TurnProblemCode | 'invalid-json' | 'not-stored' | 'not-inferred';
  readonly message: string;
}

/** What the model's answer comes to. */
export interface Answer {
  readonly text: string;
  readonly proposals: readonly ProposedChange[];
  readonly rejected: readonly RejectedValue[];
  /** Empty if there is none. */
  readonly reply: string;
  readonly problem?: AgentProblem;
  /**
   * The profile that the answer goes by: the one that it writes out, or in JSON the one that it was shown. Absent where it says nothing
   * of the profile.
   */
  readonly known?: Profile;
}

/** Reads an answer in either form, or a reply alone, while it is being written. */
export class AnswerReader {
  readonly #schema: ProfileSchema;
  readonly #form: AnswerForm | 'reply';
  readonly #written: string[] = [];
  readonly #characters = new WellFormedStream();
  /** None for a policy, which is held to the form. */
  readonly #thoughts: ThoughtFilter | undefined;
  readonly #json = new JsonReplyReader();
  readonly #turn: TurnStream;
  /** White space with which the reply begins; it may be all there is, which is no reply. */
  #blank = '';
  #begun = false;

  /** @param isPolicy the answer is a trained policy's, which is held to the form as it was in training */
  constructor(schema: ProfileSchema, form: AnswerForm | 'reply', isPolicy = false) {
    this.#schema = schema;
    this.#form = form;
    if (!isPolicy) this.#thoughts = new ThoughtFilter();
    this.#turn = new TurnStream(schema);
  }

  /** What of the reply can be shown now. */
  push(piece: string): string {
    const whole = this.#characters.push(piece);
    const text = this.#thoughts ? this.#thoughts.push(whole) : whole;
    this.#written.push(text);
    if (this.#form === 'text') return this.#turn.push(text);
    const reply = this.#blank + (this.#form === 'json' ? wellFormed(this.#json.push(text)) : text);
    const isBlank = reply.trim() === '' && !this.#begun;
    this.#blank = isBlank ? reply : '';
    this.#begun ||= !isBlank;
    return isBlank ? '' : reply;
  }

  /** @param before the profile that the answer was based on */
  end(before: Profile): Answer {
    const text = this.#written.join('') + (this.#thoughts?.end() ?? '');
    if (this.#form === 'reply') {
      const reply = text.trim() === '' ? '' : text;
      const problem = { code: 'empty-response', message: 'The reply is empty.' } as const;
      return { text, proposals: [], rejected: [], reply, ...(reply === '' && { problem }) };
    }
    if (this.#form === 'json') {
      const answer = parseStructuredAnswer(text);
      if (answer.ok) return { text, known: before, proposals: answer.changes, rejected: answer.rejected, reply: answer.reply };
      // Some models keep to the form that they were trained in, whatever they are asked for.
      const turn = !this.#begun && /^\s*<(?:profile|response)>/.test(text) ? this.#readTurn(text) : undefined;
      if (turn?.ok) return wholeAnswer(text, before, turn, turn.reply);
      return { text, proposals: [], rejected: [], reply: turn?.reply ?? answer.reply ?? '', problem: answer.problem };
    }
    const turn = this.#readTurn(text);
    if (turn.ok) return wholeAnswer(text, before, turn, turn.reply);
    return { text, proposals: [], rejected: [], reply: turn.reply ?? '', problem: turn.problem };
  }

  #readTurn(text: string): ParsedTurn {
    return parseTurn(this.#schema, text, { tolerateValues: this.#thoughts !== undefined });
  }
}

/**
 * An answer that writes out the whole profile. What it does not mention of the one that it was based on, it proposes to remove, but for
 * slots of which it says something that they do not take: these are as they were, in its text too, for a model goes by what it reads of its
 * own answers.
 */
export function wholeAnswer(text: string, before: Profile, read: ReadProfile, reply: string): Answer {
  const { rejected } = read;
  const known = rejected.length > 0 ? withUnread(before, read) : read.profile;
  const proposals = diffProfiles(before, known).map(
    (change): ProposedChange => (change.op === 'remove' ? { ...change, isOmission: true } : change),
  );
  return { text: rejected.length > 0 ? formatTurn(known, reply) : text, known, proposals, rejected, reply };
}

/** What was read of a profile, and what was refused. */
export interface ReadProfile {
  readonly profile: Profile;
  readonly rejected: readonly RejectedValue[];
}

/** The profile with what was known before in slots that could not be read in full; in all of them, if a line names none of the schema's. */
function withUnread(before: Profile, { profile, rejected }: ReadProfile): Profile {
  const slots = rejected.map(({ slot }) => before.schema.slotByLabel(slot));
  const held = Object.values<SlotDefinition>(before.schema.slots).filter((slot) => slots.includes(slot) || slots.includes(undefined));
  const changes = held.flatMap(({ key, cardinality }): ProfileChange[] =>
    cardinality === 'one' && profile.itemsOf(key).length > 0
      ? []
      : before.itemsOf(key).map(({ value }) => ({ op: cardinality === 'one' ? 'set' : 'add', slot: key, value })),
  );
  return profile.with(changes);
}
