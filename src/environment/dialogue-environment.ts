import { isModelFailure } from '../chat/index';
import { checkTimeout, forkSignal } from '../deadline';
import { abortedError, checkKnown, invalidOption, RlpaError, throwIfAborted } from '../errors';
import type { PolicyAction, PolicyState } from '../policy/policy';
import { formatInstructions, type Profile, type ProfileItem, type ProfileSchema, parseTurn } from '../profile/index';
import { Random } from '../random';
import type { DualReward, TurnReward } from '../reward/index';
import type { DialogueMessage, Persona, SimulatedUser, UserSession, UserTurn } from '../simulation/index';
import { actionSeed } from './action-seed';
import type { AlternativeAction, Episode, EpisodeTurn } from './episode';
import { type RolloutOptions, rollout } from './rollout';
import { type History, histories, transcript } from './transcript';

export interface DialogueEnvironmentOptions {
  readonly schema: ProfileSchema;
  readonly user: SimulatedUser;
  readonly reward: DualReward;
  /** Turns after which a dialogue is truncated; default 10. */
  readonly maxTurns?: number | undefined;
  /** Default `keep`. */
  readonly history?: History | undefined;
  /** The system message; `formatInstructions(schema)` by default. */
  readonly instruction?: string | undefined;
  /** Actions to sample and judge in every state of a rollout; default 1. */
  readonly samplesPerTurn?: number | undefined;
  /** Which of them the dialogue goes on with: the first (default), or the one with the highest reward, as in the paper's reference code. */
  readonly continuation?: 'sampled' | 'best' | undefined;
  /** Deadline for one batch of actions, in milliseconds; default ten minutes. The dialogues of a batch that misses it end as `failed`. */
  readonly actionTimeoutMs?: number | undefined;
  /** Deadline for each part of an action's reward, in milliseconds; default three minutes. A turn that misses it is `unjudged`. */
  readonly rewardTimeoutMs?: number | undefined;
}

/** A dialogue that waits for the policy. `step` leads to the next one; a state can be stepped from once. */
export interface DialogueState {
  readonly policyState: PolicyState;
  readonly persona: Persona;
  readonly seed: number;
  /** 1-based: the turn that the policy is about to take. */
  readonly turn: number;
  /** What the user has just said. */
  readonly user: UserTurn;
  /** Everything said so far, the user's latest message included. */
  readonly dialogue: readonly DialogueMessage[];
  /** The golden items disclosed so far. */
  readonly disclosed: readonly ProfileItem[];
  /** The last valid profile of the policy. */
  readonly profile: Profile;
  readonly turns: readonly EpisodeTurn[];
  /** @internal */
  readonly session: UserSession;
}

export interface StepResult {
  readonly reward: TurnReward;
  readonly turn: EpisodeTurn;
  /** The next state; where the dialogue is truncated, for its value only. Absent when the user has ended it, could not be had or was not asked. */
  readonly state?: DialogueState;
  /** Absent while the dialogue goes on. */
  readonly end?: Episode['end'];
  /** Why the user could not be had. */
  readonly failure?: RlpaError;
}

/** What the user reads when there is no reply that could be shown. */
const noReply = '…';

/**
 * The decision process of the paper: the state is the dialogue with the policy's last profile, an action is a profile and a reply, a
 * simulated user makes the transition, and every turn earns R_profile + R_response.
 *
 * An output that breaks the form, or runs into the token limit, earns the fixed low reward; its profile is not adopted, and the user
 * reads its reply if one can be told, else "…".
 *
 * @throws `invalid-option` for limits that are not positive.
 * @example
 * import { DialogueEnvironment, DualReward, generatePersonas, LocalPolicy, ProfileSchema, scriptedBehaviour, SimulatedUser } from 'rlpa';
 * const user = new SimulatedUser({ behaviour: scriptedBehaviour() });
 * const environment = new DialogueEnvironment({ schema: ProfileSchema.standard, user, reward: new DualReward() });
 * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct');
 * const episodes = await environment.rollout({ policy, personas: generatePersonas({ count: 8, seed: 1 }), seed: 1 });
 */
export class DialogueEnvironment {
  readonly schema: ProfileSchema;
  readonly user: SimulatedUser;
  readonly reward: DualReward;
  readonly maxTurns: number;
  readonly history: History;
  readonly instruction: string;
  readonly samplesPerTurn: number;
  readonly continuation: 'sampled' | 'best';
  readonly actionTimeoutMs: number;
  readonly rewardTimeoutMs: number;

  constructor(options: DialogueEnvironmentOptions) {
    checkKnown('DialogueEnvironment', options, {
      schema: true,
      user: true,
      reward: true,
      maxTurns: true,
      history: true,
      instruction: true,
      samplesPerTurn: true,
      continuation: true,
      actionTimeoutMs: true,
      rewardTimeoutMs: true,
    });
    this.schema = options.schema;
    this.user = options.user;
    this.reward = options.reward;
    this.maxTurns = options.maxTurns ?? 10;
    this.history = options.history ?? 'keep';
    this.instruction = options.instruction ?? formatInstructions(options.schema);
    this.samplesPerTurn = options.samplesPerTurn ?? 1;
    this.continuation = options.continuation ?? 'sampled';
    this.actionTimeoutMs = options.actionTimeoutMs ?? 600_000;
    this.rewardTimeoutMs = options.rewardTimeoutMs ?? 180_000;
    const { history, continuation, maxTurns, samplesPerTurn, actionTimeoutMs, rewardTimeoutMs } = this;
    if (!histories.includes(history)) throw invalidOption('DialogueEnvironment', 'history', `one of ${histories.join(', ')}`, history);
    if (!['sampled', 'best'].includes(continuation))
      throw invalidOption('DialogueEnvironment', 'continuation', "'sampled' or 'best'", continuation);
    for (const [option, value] of Object.entries({ maxTurns, samplesPerTurn }))
      if (!(Number.isInteger(value) && value >= 1))
        throw invalidOption('DialogueEnvironment', option, 'a whole number of at least 1', value);
    checkTimeout('DialogueEnvironment', actionTimeoutMs, 'actionTimeoutMs');
    checkTimeout('DialogueEnvironment', rewardTimeoutMs, 'rewardTimeoutMs');
  }

  /** What its episodes depend on besides their users, for a trainer to tell whether a resumed run has the same. */
  get conditions(): Readonly<Record<string, unknown>> {
    const { maxTurns, history, samplesPerTurn, continuation } = this;
    const { parts: rewardParts, weights, malformedReward } = this.reward;
    const { profile: profileWeight, response: responseWeight } = weights;
    return { maxTurns, history, samplesPerTurn, continuation, rewardParts, profileWeight, responseWeight, malformedReward };
  }

  /**
   * Refuses who cannot take part, before any dialogue begins.
   *
   * @throws `invalid-persona` for an empty profile, a value in a slot that the schema does not have, and what else the user cannot play.
   */
  checkPersona(persona: Persona): void {
    const { id, profile, change } = persona;
    this.user.check(persona);
    for (const item of [...profile.items(), ...(change?.profile.items() ?? [])]) {
      if (item.slot in this.schema.slots) continue;
      throw new RlpaError(
        'invalid-persona',
        `Persona "${id}" has a value in slot "${item.slot}"; the environment's schema has ${this.schema.slotNames.join(', ')}.`,
        { persona: id, slot: item.slot },
      );
    }
  }

  /**
   * Starts a dialogue: the user has said its first message.
   *
   * @param options.id stable name of the dialogue, which its random numbers depend on besides the seed; the persona's id by default
   * @throws `invalid-persona`, `aborted`, and what the user's behaviour throws.
   */
  async reset(options: { persona: Persona; seed: number; id?: string; signal?: AbortSignal }): Promise<DialogueState> {
    checkKnown('DialogueEnvironment.reset', options, { persona: true, seed: true, id: true, signal: true });
    const { persona, seed, id = persona.id, signal } = options;
    this.checkPersona(persona);
    const session = this.user.begin(persona, new Random(seed).split('user', id));
    const user = await session.next([], { signal });
    return this.#state({ id, persona, seed, session, profile: this.schema.empty(), turns: [], dialogue: [] }, user);
  }

  /**
   * Scores an action and lets the user answer.
   *
   * @param options.alternatives further actions sampled in this state: judged and recorded. With `continuation: 'best'` the dialogue goes
   * on with whichever of all earned most.
   * @param options.bootstrap whether the user answers the last turn as well, for the value of the next state; default true
   * @throws `aborted`; `invalid-option` for a state that was stepped from before. A user that cannot be had
   * ends the dialogue as `failed`, or as `truncated` at the turn limit.
   */
  async step(
    state: DialogueState,
    action: PolicyAction,
    options: {
      signal?: AbortSignal;
      alternatives?: readonly PolicyAction[];
      continuation?: 'sampled' | 'best';
      bootstrap?: boolean;
    } = {},
  ): Promise<StepResult> {
    checkKnown('DialogueEnvironment.step', options, { signal: true, alternatives: true, continuation: true, bootstrap: true });
    const { signal, alternatives = [], continuation = this.continuation, bootstrap = true } = options;
    throwIfAborted(signal);
    if (state.session.turn !== state.turn) {
      throw new RlpaError('invalid-option', `Dialogue "${state.policyState.dialogueId}" has gone on from turn ${state.turn} already.`, {
        turn: state.turn,
      });
    }
    const read = [action, ...alternatives].map((each) => this.#read(state, each));
    const { signals, release } = forkSignal(signal, read.length);
    const scoring = Promise.all(read.map((each, index) => this.#score(state, each, signals[index]!))).finally(release);
    // The user's answer does not depend on the reward, unless the reward decides what the user reads.
    const decided = continuation === 'best' && read.length > 1 ? best(await scoring) : 0;
    const dialogue: DialogueMessage[] = [...state.dialogue, { role: 'assistant', content: read[decided]!.reply }];
    const last = state.turn >= this.maxTurns;
    const asks = !state.user.done && (bootstrap || !last);
    const [rewards, answer] = await Promise.all([scoring, asks ? this.#userAnswer(state, dialogue, signal) : undefined]);

    const taken = read.map((each, index) => ({ ...each, reward: rewards[index]! }));
    const turn: EpisodeTurn = {
      turn: state.turn,
      state: state.policyState,
      userMessage: state.user.text,
      disclosed: state.user.disclosed,
      ...(state.user.overBudget > 0 && { overBudget: state.user.overBudget }),
      golden: state.user.golden,
      ...taken[decided]!,
      ...(taken.length > 1 && { alternatives: taken.filter((_, index) => index !== decided) }),
    };
    const { reward } = turn;
    if (answer === undefined) return { reward, turn, end: state.user.done ? 'terminated' : 'truncated' };
    // At the turn limit a missing user ends nothing early; but the value of the next state is unknown, and PPO masks the turn.
    if (RlpaError.isInstance(answer)) return { reward, turn, end: last ? 'truncated' : 'failed', failure: answer };
    const { policyState, persona, seed, session } = state;
    const next = this.#state(
      { id: policyState.dialogueId, persona, seed, session, profile: turn.profile, turns: [...state.turns, turn], dialogue },
      answer,
    );
    return { reward, turn, state: next, ...(last && { end: 'truncated' as const }) };
  }

  /**
   * One dialogue with each persona, many at once; whichever wait for the policy are batched for it. Episodes come in the order of the
   * personas. A user or an action that cannot be had ends its episode as `failed`; a verdict that cannot be had masks its turn; a dialogue
   * that has grown longer than the policy can read is truncated.
   *
   * @throws `aborted`; `model-unreachable` or `budget-exceeded` when that is why every single episode failed or none of the
   * well-formed replies could be judged;
   * `invalid-option`, also when the policy can read no dialogue at all; `invalid-persona`, and what the policy throws.
   */
  async rollout(options: RolloutOptions): Promise<Episode[]> {
    checkKnown('DialogueEnvironment.rollout', options, {
      policy: true,
      personas: true,
      seed: true,
      concurrency: true,
      samplesPerTurn: true,
      continuation: true,
      bootstrap: true,
      temperature: true,
      signal: true,
      onEpisode: true,
    });
    return rollout(this, options);
  }

  #state(
    from: Pick<DialogueState, 'persona' | 'seed' | 'session' | 'profile' | 'turns' | 'dialogue'> & { readonly id: string },
    user: UserTurn,
  ): DialogueState {
    const { id, dialogue, ...rest } = from;
    const turn = from.turns.length + 1;
    return {
      ...rest,
      turn,
      user,
      dialogue: [...dialogue, { role: 'user', content: user.text }],
      disclosed: from.session.disclosed,
      policyState: {
        dialogueId: id,
        messages: transcript(this.instruction, from.turns, user.text, this.history),
        seed: actionSeed({ seed: from.seed, dialogueId: id, turn, sample: 0 }),
      },
    };
  }

  /** What an action comes to: the profile adopted, and what the user gets to read. */
  #read(state: DialogueState, action: PolicyAction): Omit<AlternativeAction, 'reward'> {
    const parsed = parseTurn(this.schema, action.text);
    if (!parsed.ok) {
      const { code, message } = parsed.problem;
      return { action, profile: state.profile, reply: parsed.reply ?? noReply, problem: { code, message } };
    }
    if (action.finishReason === 'length') {
      const problem = { code: 'no-end', message: 'The token limit came before the end of the turn.' };
      return { action, profile: state.profile, reply: parsed.reply, problem };
    }
    return { action, profile: parsed.profile, reply: parsed.reply };
  }

  #score(state: DialogueState, read: Omit<AlternativeAction, 'reward'>, signal: AbortSignal): Promise<TurnReward> {
    return this.reward.score({
      dialogue: state.dialogue,
      reply: read.reply,
      golden: state.user.golden,
      inferred: read.profile,
      disclosed: state.disclosed,
      ...(read.problem && { problem: read.problem }),
      timeoutMs: this.rewardTimeoutMs,
      signal,
    });
  }

  async #userAnswer(state: DialogueState, dialogue: readonly DialogueMessage[], signal?: AbortSignal): Promise<UserTurn | RlpaError> {
    try {
      return await state.session.next(dialogue, { signal });
    } catch (error) {
      if (signal?.aborted) throw abortedError(signal);
      if (isModelFailure(error)) return error;
      throw error;
    }
  }
}

/** The index of the highest reward; turns without a verdict have none. */
function best(rewards: readonly TurnReward[]): number {
  let chosen = -1;
  for (const [index, { status, total }] of rewards.entries()) {
    if (status !== 'unjudged' && (chosen < 0 || total > rewards[chosen]!.total)) chosen = index;
  }
  return Math.max(chosen, 0);
}
