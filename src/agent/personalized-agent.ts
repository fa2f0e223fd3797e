import { EventEmitter } from 'eventemitter3';
import type { ChatModel, ChatPart, ChatRequest, ChatUsage } from '../chat/index';
import { withDeadline } from '../deadline';
import { RlpaError } from '../errors';
import {
  formatTurn,
  type Profile,
  type ProfileChange,
  type ProfileItem,
  type ProfileSchema,
  type RejectedValue,
  type SlotDefinition,
  type SlotMap,
} from '../profile/index';
import { type Answer, AnswerReader } from './answer';
import { findProvenance } from './evidence';
import { SpokenMessage } from './own-words';
import { memoryStore, type ProfileStore } from './profile-store';
import { type AnswerForm, fencedPrompt, type PromptBuilder } from './prompt';
import { checkBudget, type PromptBudget, relevantPart, turnsWithin } from './prompt-budget';
import { applyProposals } from './proposals';
import { answerJsonSchema } from './structured-answer';
import { screenProposals } from './support';
import type { AgentEvents, TurnPart, TurnRequest, TurnResult } from './turn';
import { UserLedger } from './user-ledger';
import {
  type Contradiction,
  emptyRecord,
  profileOf,
  type RecordedChange,
  recordProfile,
  type StoredItem,
  type StoredTurn,
  type UserRecord,
} from './user-record';

export interface PersonalizedAgentOptions<S extends SlotMap = SlotMap> {
  readonly schema: ProfileSchema<S>;
  readonly model: ChatModel;
  /** Default `memoryStore()`. */
  readonly store?: ProfileStore;
  /** What the agent is to be; by default a warm and attentive conversation partner. Part of the default prompt. */
  readonly instruction?: string;
  /** Default `fencedPrompt({ instruction })`. */
  readonly prompt?: PromptBuilder;
  /** The form of the answer; by default JSON where the model has structured output, else text. */
  readonly form?: AnswerForm;
  /** How many earlier turns are kept, shown to the model, and searched for evidence; default 20. */
  readonly maxHistory?: number;
  /** How much of the profile and of the earlier turns goes into a prompt: the most relevant items, the latest turns. */
  readonly promptBudget?: PromptBudget;
  readonly now?: () => Date;
  readonly generateId?: () => string;
}

/** A turn under way. */
interface OpenTurn<S extends SlotMap> {
  readonly id: string;
  readonly userId: string;
  readonly message: string;
  /** As it was when the turn began. */
  readonly record: UserRecord | undefined;
  /** Without sensitive values for which there is no consent. */
  readonly profile: Profile<S>;
  /** The part of it that the model reads, and that its answer is compared with. */
  readonly shown: Profile<S>;
  readonly isAllowed: (slot: SlotDefinition) => boolean;
  readonly request: ChatRequest;
  readonly reader: AnswerReader;
  readonly startedAt: number;
}

interface AppliedTurn<S extends SlotMap> {
  readonly record: UserRecord;
  readonly profile: Profile<S>;
  readonly rejected: readonly RejectedValue[];
  readonly changes: readonly RecordedChange[];
  readonly contradictions: readonly Contradiction[];
}

const defaultTimeoutMs = 60_000;

/**
 * A chatbot that learns who it talks to: every turn yields a reply and the user's profile, from one call of the model.
 *
 * A malformed answer never costs the reply nor the profile: the reply is returned where there is one, the old profile stays, and
 * `problem` says what was wrong. A turn whose model call fails or is aborted, or whose stream is left early, leaves no trace.
 *
 * @throws `invalid-option` from the constructor and for empty messages or ids; from a turn what the model throws, `store-failed` where the
 * profile cannot be read, `timeout`, `aborted`.
 * @example
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: openAIChat({ model: 'gpt-4o-mini' }) });
 * const turn = await agent.respond({ userId: 'u1', message: 'Night shift again, the ward was full.' });
 * console.log(turn.reply, turn.profile.values.occupation, turn.changes[0]?.evidence);
 */
export class PersonalizedAgent<S extends SlotMap = SlotMap> extends EventEmitter<AgentEvents> {
  readonly schema: ProfileSchema<S>;
  readonly #model: ChatModel;
  readonly #ledger: UserLedger;
  readonly #prompt: PromptBuilder;
  readonly #form: AnswerForm;
  readonly #maxHistory: number;
  readonly #budget: Required<PromptBudget>;
  readonly #now: () => Date;
  readonly #generateId: () => string;

  constructor(options: PersonalizedAgentOptions<S>) {
    super();
    const { schema, model, store = memoryStore(), instruction, maxHistory = 20 } = options;
    if (!Number.isInteger(maxHistory) || maxHistory < 0) {
      throw new RlpaError('invalid-option', `maxHistory is a number of turns, found ${maxHistory}.`, { option: 'maxHistory' });
    }
    this.schema = schema;
    this.#model = model;
    this.#ledger = new UserLedger(store);
    this.#prompt = options.prompt ?? fencedPrompt({ instruction });
    this.#form = options.form ?? (model.structuredOutput ? 'json' : 'text');
    this.#maxHistory = maxHistory;
    this.#budget = checkBudget(options.promptBudget);
    this.#now = options.now ?? (() => new Date());
    this.#generateId = options.generateId ?? (() => globalThis.crypto.randomUUID());
  }

  /** Answers a message. */
  async respond(request: TurnRequest): Promise<TurnResult<S>> {
    const { timeoutMs = defaultTimeoutMs, signal } = checkRequest(request);
    const { turn, usage } = await withDeadline('The turn', timeoutMs, signal, async (deadline) => {
      const turn = await this.#begin(request, deadline);
      const { text, usage } = await this.#model.generate({ ...turn.request, timeoutMs, signal: deadline });
      turn.reader.push(text);
      return { turn, usage };
    });
    return this.#finish(turn, turn.reader.end(turn.shown), usage, signal);
  }

  /** Answers a message: the reply as it is written, then what it changed, then the same result that `respond` gives. */
  async *stream(request: TurnRequest): AsyncGenerator<TurnPart<S>, void, undefined> {
    const { timeoutMs = defaultTimeoutMs, signal } = checkRequest(request);
    const endsAt = performance.now() + timeoutMs;
    const untilDeadline = <T>(work: (deadline: AbortSignal) => Promise<T>) =>
      withDeadline('The turn', Math.max(0, endsAt - performance.now()), signal, work);
    const turn = await untilDeadline((deadline) => this.#begin(request, deadline));
    const call = new AbortController();
    const callSignal = signal ? AbortSignal.any([signal, call.signal]) : call.signal;
    const parts = this.#model.stream({ ...turn.request, timeoutMs, signal: callSignal })[Symbol.asyncIterator]();
    let usage: ChatUsage | undefined;
    let shown = '';
    try {
      for (;;) {
        const { done, value } = await untilDeadline<IteratorResult<ChatPart>>(() => parts.next());
        if (done) break;
        if (value.type === 'finish') usage = value.usage;
        else {
          const text = turn.reader.push(value.text);
          shown += text;
          if (text) yield { type: 'reply', text };
        }
      }
    } finally {
      call.abort(); // a reader that leaves early, or a deadline, must not leave the model writing
    }
    if (!usage) throw new RlpaError('model-failed', `Model "${this.#model.name}" ended its stream without a finish part.`);
    const answer = turn.reader.end(turn.shown);
    const rest = answer.reply.startsWith(shown) ? answer.reply.slice(shown.length) : '';
    if (rest) yield { type: 'reply', text: rest };
    const result = await this.#finish(turn, answer, usage, signal);
    yield { type: 'profile', profile: result.profile, changes: result.changes };
    yield { type: 'finish', ...result };
  }

  /** What is known about the user; the empty profile for a user never met. */
  async profile(userId: string, signal?: AbortSignal): Promise<Profile<S>> {
    return profileOf(this.schema, (await this.#ledger.load(userId, signal)) ?? emptyRecord(userId));
  }

  /** Every value that the profile ever held, with its source and the time it was valid, in the order in which they became known. */
  async history(userId: string, signal?: AbortSignal): Promise<readonly StoredItem[]> {
    return (await this.#ledger.load(userId, signal))?.items ?? [];
  }

  /**
   * Changes a profile by hand; the values count as stated.
   *
   * @throws `invalid-profile` for what the schema refuses and for sensitive slots without consent, with nothing changed; `store-failed`.
   */
  async edit(
    userId: string,
    changes: readonly ProfileChange<S>[],
    { consent, signal }: { consent?: readonly string[] | true; signal?: AbortSignal } = {},
  ): Promise<Profile<S>> {
    checkText('userId', userId);
    for (const { op, slot } of changes as readonly ProfileChange[]) {
      const definition = (this.schema as ProfileSchema).slots[slot];
      if (op !== 'remove' && definition && !isAllowedBy(consent)(definition)) {
        throw new RlpaError('invalid-profile', `Slot "${slot}" is sensitive: an edit needs consent.`, { slot });
      }
    }
    const { profile, ...recorded } = await this.#ledger.commit(
      userId,
      undefined,
      (record) => {
        const before = profileOf(this.schema, record);
        const profile = before.with(changes);
        const provenance = () => ({ source: 'stated', confidence: 1 }) as const;
        return { profile, ...recordProfile(record, before, profile, { at: this.#time(), newId: this.#generateId, provenance }) };
      },
      signal,
    );
    this.#announce(userId, profile, recorded);
    return profile;
  }

  /** Everything that is kept of the user, as JSON; undefined for a user never met. */
  async export(userId: string, signal?: AbortSignal): Promise<UserRecord | undefined> {
    return structuredClone(await this.#ledger.load(userId, signal));
  }

  /** Forgets the user: profile, history, evidence, turns. @returns whether there was anything. */
  erase(userId: string, signal?: AbortSignal): Promise<boolean> {
    return this.#ledger.erase(userId, signal);
  }

  async #begin({ userId, message, consent }: TurnRequest, signal: AbortSignal): Promise<OpenTurn<S>> {
    const startedAt = performance.now();
    const record = await this.#ledger.load(userId, signal);
    const isAllowed = isAllowedBy(consent);
    const slots = Object.values((this.schema as ProfileSchema).slots).filter(isAllowed);
    const profile = visible(profileOf(this.schema, record ?? emptyRecord(userId)), isAllowed);
    const shown = relevantPart(profile, { message, stored: record?.items ?? [], budget: this.#budget.profile });
    const messages = this.#prompt({
      schema: this.schema,
      slots,
      profile: shown,
      omitted: profile.size - shown.size,
      turns: turnsWithin(latest(record?.turns ?? [], this.#maxHistory), this.#budget.history),
      message,
      form: this.#form,
    });
    const jsonSchema = this.#form === 'json' ? { name: 'profile_turn', schema: answerJsonSchema(slots) } : undefined;
    const request = { messages, ...(jsonSchema && { jsonSchema }) };
    const reader = new AnswerReader(this.schema, this.#form);
    return { id: this.#generateId(), userId, message, record, profile, shown, isAllowed, request, reader, startedAt };
  }

  /** Stores the turn. What the store cannot do is a problem, and the reply is returned all the same. */
  async #finish(turn: OpenTurn<S>, answer: Answer, usage: ChatUsage, signal?: AbortSignal): Promise<TurnResult<S>> {
    const { id, userId, startedAt } = turn;
    let kept: AppliedTurn<S> | undefined;
    let problem = answer.problem;
    try {
      kept = await this.#ledger.commit(userId, turn.record, (record) => this.#apply(turn, answer, record), signal);
    } catch (error) {
      if (!RlpaError.isInstance(error) || error.code === 'aborted') throw error;
      problem ??= { code: 'not-stored', message: error.message };
    }
    const rejected = [...answer.rejected, ...(kept?.rejected ?? [])];
    const profile = kept?.profile ?? turn.profile;
    if (kept) this.#announce(userId, profile, kept);
    if (rejected.length > 0) this.emit('rejected', { userId, rejected });
    if (problem) this.emit('problem', { userId, problem });
    return {
      messageId: id,
      reply: answer.reply,
      profile,
      changes: kept?.changes ?? [],
      rejected,
      ...(problem && { problem }),
      usage,
      latencyMs: performance.now() - startedAt,
    };
  }

  /** The turn on top of the latest record, which need not be the one that it began with. */
  #apply({ id, message, isAllowed }: OpenTurn<S>, answer: Answer, record: UserRecord): AppliedTurn<S> {
    const at = this.#time();
    const before = profileOf(this.schema, record);
    const said = [...record.turns.map((turn) => ({ id: turn.id, content: turn.message })), { id, content: message }]
      .reverse()
      .map((userMessage) => new SpokenMessage(this.schema, userMessage));
    const { supported, refused } = screenProposals(this.schema, answer.proposals, said);
    const { profile, rejected, quotes } = applyProposals(before, supported, isAllowed);
    const provenance = (item: ProfileItem) => findProvenance(item, said, quotes.get(item.key));
    const recorded = recordProfile(record, before, profile, { at, newId: this.#generateId, provenance });
    const turn: StoredTurn = {
      id,
      at,
      message,
      reply: answer.reply,
      text: this.#keptText(answer, visible(profile, isAllowed), isAllowed),
      ...(answer.problem && { malformed: true }),
    };
    return {
      ...recorded,
      record: { ...recorded.record, turns: latest([...record.turns, turn], this.#maxHistory) },
      profile,
      rejected: [...refused, ...rejected],
    };
  }

  /** The model's own text; where it may hold a sensitive value without consent, what is left of it. */
  #keptText({ text, reply }: Answer, profile: Profile, isAllowed: (slot: SlotDefinition) => boolean): string {
    if (Object.values(profile.schema.slots).every(isAllowed)) return text;
    return this.#form === 'json' ? JSON.stringify({ changes: [], reply }) : formatTurn(profile, reply);
  }

  #announce(
    userId: string,
    profile: Profile,
    { changes, contradictions }: { readonly changes: readonly RecordedChange[]; readonly contradictions: readonly Contradiction[] },
  ): void {
    if (changes.length > 0) this.emit('change', { userId, profile, changes });
    for (const contradiction of contradictions) this.emit('contradiction', { userId, slot: contradiction.after.slot, ...contradiction });
  }

  #time(): string {
    return this.#now().toISOString();
  }
}

function isAllowedBy(consent: TurnRequest['consent']): (slot: SlotDefinition) => boolean {
  return ({ key, sensitive }) => !sensitive || consent === true || (consent?.includes(key) ?? false);
}

function visible<S extends SlotMap>(profile: Profile<S>, isAllowed: (slot: SlotDefinition) => boolean): Profile<S> {
  const { slots } = profile.schema as ProfileSchema;
  if (Object.values(slots).every(isAllowed)) return profile;
  const values = Object.entries(profile.values).filter(([key]) => isAllowed(slots[key]!));
  return profile.schema.safeProfile(Object.fromEntries(values), profile.version).profile;
}

function latest<T>(values: readonly T[], count: number): readonly T[] {
  return count > 0 ? values.slice(-count) : [];
}

function checkRequest(request: TurnRequest): TurnRequest {
  checkText('userId', request.userId);
  checkText('message', request.message);
  if (request.timeoutMs !== undefined && !(request.timeoutMs > 0)) {
    throw new RlpaError('invalid-option', `timeoutMs is positive, found ${request.timeoutMs}.`, { option: 'timeoutMs' });
  }
  return request;
}

function checkText(option: string, text: string): void {
  if (typeof text === 'string' && text.trim() !== '') return;
  throw new RlpaError('invalid-option', `${option} is text that is not empty, found ${JSON.stringify(text)}.`, { option });
}
