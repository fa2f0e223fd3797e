import { EventEmitter } from 'eventemitter3';
import type { ChatResult } from '../chat/index';
import { anySignal, withDeadline } from '../deadline';
import { checkKnown, invalidOption, RlpaError } from '../errors';
import type { Profile, ProfileChange, SlotMap } from '../profile/index';
import { type AfterReply, afterReplyOf } from './after-reply';
import { type AgentSettings, type PersonalizedAgentOptions, settle } from './agent-options';
import { AnswerReader } from './answer';
import { allowedBy, type Consent, checkConsent, visiblePart, visibleProblem, visibleRejections } from './consent';
import { migrateRecord } from './migration';
import {
  type CallLimits,
  callModel,
  inferProfile,
  type RepairedAnswer,
  type RepliedAnswer,
  repairAnswer,
  streamModel,
} from './model-calls';
import { type OpenTurn, openTurn, requestOf, type UserTurn } from './open-turn';
import { readAnswer } from './profile-request';
import { recordEdit } from './record-edit';
import { type RecordedAnswer, recordAnswer, recordTurn } from './record-turn';
import { checkRequest, checkText, defaultTimeoutMs, wait } from './requests';
import type { AgentEvents, ProfileOutcome, TurnPart, TurnRequest, TurnResult, WaitOptions } from './turn';
import { TurnMeter } from './turn-meter';
import { type Basis, erasedError, UserLedger } from './user-ledger';
import { definitionOf, emptyRecord, profileOf, rememberProfile, type StoredItem, type UserRecord } from './user-record';

/**
 * A chatbot that learns who it talks to: every turn yields a reply and the user's profile, from one call of the model or, in the mode
 * `after-reply`, the profile from another call that the user does not wait for.
 *
 * A malformed answer is asked for once more. It never costs the reply nor the profile: the reply is returned where there is one, the old
 * profile stays, and `problem` says what was wrong. A turn whose model call fails or is aborted, or whose stream is left early, leaves no
 * trace. What a listener throws is an uncaught exception and does not cost the reply.
 *
 * @throws `invalid-option` from the constructor, also for an option that it has not, and for empty messages or ids; from a turn what the
 * model throws, `store-failed` where the profile cannot be read, `timeout`, `aborted`.
 * @example
 * import { openAIChat, PersonalizedAgent, ProfileSchema } from 'rlpa';
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: openAIChat({ model: 'gpt-4o-mini' }) });
 * const turn = await agent.respond({ userId: 'u1', message: 'Night shift again, the ward was full.' });
 * console.log(turn.reply, turn.profile.values.occupation, turn.changes[0]?.evidence);
 */
export class PersonalizedAgent<S extends SlotMap = SlotMap> extends EventEmitter<AgentEvents<S>> {
  readonly #settings: AgentSettings<S>;
  readonly #ledger: UserLedger;
  readonly #afterReply: AfterReply;

  constructor(options: PersonalizedAgentOptions<S>) {
    super();
    const settings = settle(options);
    const { schema, migrations, store, generateId } = settings;
    this.#settings = settings;
    this.#afterReply = afterReplyOf(store);
    this.#ledger = new UserLedger(store, {
      read: (record) => migrateRecord(schema, migrations, record, () => this.#time()),
      newId: generateId,
    });
  }

  get schema() {
    return this.#settings.schema;
  }

  /** Answers a message. */
  async respond(request: TurnRequest): Promise<TurnResult<S>> {
    const { user, limits, tenure, meter } = this.#start(request);
    try {
      const turn = await this.#open(user, tenure, meter, limits);
      const { text, finishReason } = await callModel(this.#settings, turn, requestOf(turn), limits);
      const first = readAnswer(this.#settings, turn.form, text, turn.shown);
      if (first.reply) meter.showText();
      const answer = await repairAnswer(this.#settings, turn, first, finishReason, limits);
      if (answer.reply) meter.showText();
      return await this.#finish(turn, answer, request);
    } finally {
      this.#ledger.end(tenure);
    }
  }

  /** Answers a message: the reply as it is written, then what it changed, then the same result that `respond` gives. */
  async *stream(request: TurnRequest): AsyncGenerator<TurnPart<S>, void, undefined> {
    const { user, limits, tenure, meter } = this.#start(request);
    try {
      const turn = await this.#open(user, tenure, meter, limits);
      const reader = new AnswerReader(this.schema, turn.form, this.#settings.prompt.wholeTurnsOnly);
      let finishReason: ChatResult['finishReason'] = 'other';
      let shown = '';
      const show = (text: string): TurnPart<S> => {
        meter.showText();
        shown += text;
        return { type: 'reply', text };
      };
      for await (const part of streamModel(this.#settings, turn, requestOf(turn), limits)) {
        if (part.type === 'finish') finishReason = part.finishReason;
        const text = part.type === 'text' ? reader.push(part.text) : '';
        if (text) yield show(text);
      }
      const first = reader.end(turn.shown);
      const rest = first.reply.startsWith(shown) ? first.reply.slice(shown.length) : '';
      if (rest) yield show(rest);
      const answer = await repairAnswer(this.#settings, turn, first, finishReason, limits);
      if (answer.reply && !first.reply) yield show(answer.reply);
      const result = await this.#finish(turn, answer, request);
      yield { type: 'profile', profile: result.profile, changes: result.changes };
      yield { type: 'finish', ...result };
    } finally {
      this.#ledger.end(tenure);
    }
  }

  /**
   * Waits until what runs after the replies that were given has ended (`mode: 'after-reply'`), well or with a `problem`: of one user, or of
   * all, by this agent and others over the same store.
   *
   * @throws `timeout`, `aborted`; what is waited for goes on.
   */
  settled(userId?: string, options: WaitOptions = {}): Promise<void> {
    return this.#afterReply.settled(userId, options);
  }

  /** What is known about the user; the empty profile for a user never met. */
  async profile(userId: string, options: WaitOptions = {}): Promise<Profile<S>> {
    return profileOf(this.schema, (await this.#load(userId, options)) ?? emptyRecord(userId));
  }

  /**
   * Every value that the profile ever held, with its source and the time it was valid, in the order in which they became known. A value
   * that the schema does not take any more says so (`refused`). The list is the caller's own.
   */
  async history(userId: string, options: WaitOptions = {}): Promise<readonly StoredItem[]> {
    return structuredClone((await this.#load(userId, options))?.items ?? []);
  }

  /**
   * Changes a profile by hand; the values count as stated. Values that the schema does not take any more end with the slot that is set or
   * removed as a whole, or when they are removed themselves.
   *
   * @throws `invalid-profile` for what the schema refuses and for sensitive slots without consent, with nothing changed; `store-failed`,
   * `timeout`, `aborted`.
   */
  async edit(
    userId: string,
    changes: readonly ProfileChange<S>[],
    options: WaitOptions & { readonly consent?: Consent | undefined } = {},
  ): Promise<Profile<S>> {
    checkKnown('The edit', options, { signal: true, timeoutMs: true, consent: true });
    const { consent, ...limits } = options;
    checkText('userId', userId);
    checkConsent(this.schema, consent);
    if (!Array.isArray(changes)) throw invalidOption('PersonalizedAgent.edit', 'changes', 'a list of changes', changes);
    const isAllowed = allowedBy(consent);
    for (const change of changes as readonly (ProfileChange | undefined)[]) {
      const definition = definitionOf(this.schema, change?.slot ?? '');
      if (change?.op !== 'remove' && definition && !isAllowed(definition)) {
        throw new RlpaError('invalid-profile', `Slot "${definition.key}" is sensitive: an edit needs consent.`, { slot: definition.key });
      }
    }
    const edit = (latest: UserRecord) => recordEdit(this.#settings, changes, latest, this.#time());
    const edited = await wait('The edit', limits, (deadline) => this.#commit(userId, undefined, edit, deadline));
    this.#announce(userId, edited);
    if (edited.rejected.length > 0) this.#tell('rejected', { userId, rejected: edited.rejected });
    return edited.profile;
  }

  /** Everything that is kept of the user, of all sessions, as JSON; undefined for a user never met. */
  async export(userId: string, options: WaitOptions = {}): Promise<UserRecord | undefined> {
    return structuredClone(await this.#load(userId, options));
  }

  /**
   * Forgets the user: profile, history, evidence, the turns of all sessions. Turns under way, of this agent and of others over the same store
   * object, still give their reply and leave nothing stored, and what runs after replies is ended. An erasure that fails costs no turn.
   *
   * @returns whether there was anything
   */
  async erase(userId: string, options: WaitOptions = {}): Promise<boolean> {
    checkText('userId', userId);
    return wait('The erasure', options, (deadline) => this.#ledger.erase(userId, deadline));
  }

  #load(userId: string, options: WaitOptions): Promise<UserRecord | undefined> {
    checkText('userId', userId);
    return wait('Reading the profile', options, (deadline) => this.#ledger.load(userId, deadline));
  }

  #start(request: TurnRequest) {
    const { userId, sessionId, message, consent, signal, timeoutMs = defaultTimeoutMs } = checkRequest(this.schema, request);
    const { generateId, prices } = this.#settings;
    const user: UserTurn = { id: generateId(), userId, sessionId, isStored: false, message, consent };
    const limits: CallLimits = { endsAt: performance.now() + timeoutMs, signal };
    return { user, limits, tenure: this.#ledger.begin(userId), meter: new TurnMeter(prices) };
  }

  async #open(
    user: UserTurn,
    { erased }: { readonly erased: AbortSignal },
    meter: TurnMeter,
    { endsAt, signal }: CallLimits,
  ): Promise<OpenTurn<S>> {
    const record = await withDeadline('The turn', endsAt - performance.now(), signal, (deadline) =>
      this.#ledger.load(user.userId, deadline),
    );
    return openTurn(this.#settings, user, { record, erased }, meter);
  }

  /** Stores the turn. What the store cannot do is a problem, and the reply is returned all the same. */
  async #finish(turn: OpenTurn<S>, answer: RepliedAnswer, { timeoutMs, signal }: WaitOptions): Promise<TurnResult<S>> {
    const { id, userId, sessionId, basis, meter } = turn;
    let outcome: ProfileOutcome<S>;
    let kept: RecordedAnswer<S> | undefined;
    try {
      const record = (latest: UserRecord): RecordedAnswer<S> => {
        const at = this.#time();
        const recorded = recordAnswer(this.#settings, turn, answer, latest, at);
        return { ...recorded, record: recordTurn(this.#settings, turn, answer, recorded, at) };
      };
      kept = await this.#commit(userId, basis, record, signal);
      outcome = outcomeOf(turn, answer, kept);
      if (this.#settings.mode === 'after-reply' && answer.reply) this.#inferLater(turn, answer.reply, kept.record, timeoutMs);
    } catch (error) {
      if (!RlpaError.isInstance(error) || error.code === 'aborted') throw error;
      // The graver news, where the answer's form was broken as well.
      outcome = outcomeOf(turn, { ...answer, problem: { code: 'not-stored', message: error.message } });
    }
    if (kept) this.#announce(userId, { ...outcome, contradictions: kept.contradictions });
    this.#complain(userId, outcome);
    return {
      ...outcome,
      messageId: id,
      ...(sessionId !== undefined && { sessionId }),
      reply: answer.reply,
      finishReason: answer.finishReason,
      ...meter.metrics(),
      ...(meter.firstTextMs !== undefined && { firstTextMs: meter.firstTextMs }),
    };
  }

  /** @param stored the record with the turn in it */
  #inferLater({ basis, ...turn }: OpenTurn<S>, reply: string, stored: UserRecord, timeoutMs = defaultTimeoutMs): void {
    if (basis.erased.aborted) return;
    const user: UserTurn = { ...turn, isStored: true };
    const tenure = this.#ledger.begin(user.userId); // before anybody can erase the user
    this.#afterReply.add(user.userId, async () => {
      try {
        await this.#infer(user, reply, { record: stored, erased: tenure.erased }, timeoutMs);
      } finally {
        this.#ledger.end(tenure);
      }
    });
  }

  async #infer(user: UserTurn, reply: string, basis: Basis, timeoutMs: number): Promise<void> {
    const { userId, sessionId, id } = user;
    const meter = new TurnMeter(this.#settings.prices);
    const { signal, release } = anySignal(basis.erased, this.#settings.signal);
    let kept: RecordedAnswer<S> | undefined;
    let outcome: ProfileOutcome<S> = { messageId: id, profile: this.schema.empty(), changes: [], rejected: [] };
    try {
      const limits: CallLimits = { endsAt: performance.now() + timeoutMs, signal };
      const turn = await this.#open(user, basis, meter, limits);
      outcome = outcomeOf(turn, {});
      if (turn.basis.record?.id !== basis.record?.id) throw erasedError(userId);
      const answer = await inferProfile(this.#settings, turn, reply, limits);
      const record = (latest: UserRecord) => recordAnswer(this.#settings, turn, answer, latest, this.#time());
      kept = await this.#commit(userId, basis, record, signal);
      outcome = outcomeOf(turn, answer, kept);
    } catch (error) {
      const code = RlpaError.isInstance(error) && error.code === 'store-failed' ? 'not-stored' : 'not-inferred';
      outcome = { ...outcome, problem: { code, message: error instanceof Error ? error.message : String(error) } };
    } finally {
      release();
    }
    if (kept) this.#announce(userId, { ...outcome, contradictions: kept.contradictions });
    this.#complain(userId, outcome);
    this.#tell('inferred', { ...outcome, userId, ...(sessionId !== undefined && { sessionId }), ...meter.metrics() });
  }

  async #commit(
    userId: string,
    basis: Basis | undefined,
    change: (latest: UserRecord) => RecordedAnswer<S>,
    signal: AbortSignal | undefined,
  ): Promise<RecordedAnswer<S>> {
    const kept = await this.#ledger.commit(userId, basis, change, signal);
    rememberProfile(kept.record, kept.from, kept.profile);
    return kept;
  }

  #announce(userId: string, { profile, changes, contradictions }: Pick<RecordedAnswer<S>, 'profile' | 'changes' | 'contradictions'>): void {
    if (changes.length > 0) this.#tell('change', { userId, profile, changes });
    for (const contradiction of contradictions) this.#tell('contradiction', { userId, ...contradiction });
  }

  #complain(userId: string, { rejected, problem }: ProfileOutcome<S>): void {
    if (rejected.length > 0) this.#tell('rejected', { userId, rejected });
    if (problem) this.#tell('problem', { userId, problem });
  }

  /** A listener that throws is its owner's error, not the turn's: it does not cost a reply that is stored already. */
  #tell<Event extends keyof AgentEvents<S>>(event: Event, payload: Parameters<AgentEvents<S>[Event]>[0]): void {
    try {
      (this as EventEmitter).emit(event, payload);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #time(): string {
    return this.#settings.now().toISOString();
  }
}

/**
 * What a turn tells: nothing of slots that it may not read, whether or not it was stored.
 *
 * @param kept what was stored of it, if anything was
 */
function outcomeOf<S extends SlotMap>(
  turn: OpenTurn<S>,
  { problem, repaired, rejected = [] }: Partial<RepairedAnswer>,
  kept?: RecordedAnswer<S>,
): ProfileOutcome<S> {
  const { items = [] } = kept?.record ?? turn.basis.record ?? {};
  const { schema } = turn.profile;
  return {
    messageId: turn.id,
    profile: kept ? visiblePart(kept.profile, turn.isAllowed) : turn.profile,
    changes: kept?.changes ?? [],
    rejected: visibleRejections(schema, [...rejected, ...(kept?.rejected ?? [])], items, turn.isAllowed),
    ...(problem && { problem: visibleProblem(schema, problem, turn.isAllowed) }),
    ...(repaired && { repaired: visibleProblem(schema, repaired, turn.isAllowed) }),
  };
}
