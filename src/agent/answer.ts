import {
  diffProfiles,
  type Profile,
  type ProfileSchema,
  parseTurn,
  type RejectedValue,
  type TurnProblemCode,
  TurnStream,
} from '../profile/index';
import { JsonReplyReader } from './json-reply-reader';
import type { AnswerForm } from './prompt';
import { type ProposedChange, parseStructuredAnswer } from './structured-answer';

/** Why a turn did not go as it should although there may be a reply. */
export interface AgentProblem {
  /** The answer's form was broken, or (`not-stored`) the turn could not be written to the store. */
  readonly code: TurnProblemCode | 'invalid-json' | 'not-stored';
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
}

/** Reads an answer in either form while it is being written. */
export class AnswerReader {
  readonly #schema: ProfileSchema;
  readonly #form: AnswerForm;
  readonly #written: string[] = [];
  readonly #json = new JsonReplyReader();
  readonly #turn: TurnStream;
  /** White space with which the JSON reply begins; it may be all there is, which is no reply. */
  #blank = '';
  #begun = false;

  constructor(schema: ProfileSchema, form: AnswerForm) {
    this.#schema = schema;
    this.#form = form;
    this.#turn = new TurnStream(schema);
  }

  /** What of the reply can be shown now. */
  push(text: string): string {
    this.#written.push(text);
    if (this.#form === 'text') return this.#turn.push(text);
    const reply = this.#blank + this.#json.push(text);
    const isBlank = reply.trim() === '' && !this.#begun;
    this.#blank = isBlank ? reply : '';
    this.#begun ||= !isBlank;
    return isBlank ? '' : reply;
  }

  /** @param before the profile that the answer was based on */
  end(before: Profile): Answer {
    const text = this.#written.join('');
    if (this.#form === 'json') {
      const answer = parseStructuredAnswer(text);
      if (answer.ok) return { text, proposals: answer.changes, rejected: answer.rejected, reply: answer.reply };
      return { text, proposals: [], rejected: [], reply: answer.reply ?? '', problem: answer.problem };
    }
    const turn = parseTurn(this.#schema, text);
    if (turn.ok) {
      const proposals = diffProfiles(before, turn.profile).map(
        (change): ProposedChange => (change.op === 'remove' ? { ...change, isOmission: true } : change),
      );
      return { text, proposals, rejected: [], reply: turn.reply };
    }
    return { text, proposals: [], rejected: [], reply: turn.reply ?? '', problem: turn.problem };
  }
}
