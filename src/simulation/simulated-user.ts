import { checkTimeout, withDeadline } from '../deadline';
import { checkKnown, invalidOption, RlpaError } from '../errors';
import type { Profile, ProfileItem } from '../profile/index';
import type { Random } from '../random';
import { disclosedItems, trimToBudget } from './disclosure';
import { checkPersona, type Persona } from './persona';
import type { DialogueMessage, UserBehaviour, UserUtterance } from './user-behaviour';

export interface SimulatedUserOptions {
  readonly behaviour: UserBehaviour;
  /** Largest share of the golden profile's items that one message may disclose, in (0, 1]; at least one item. */
  readonly disclosurePerTurn?: number | undefined;
  /** What every user says first: "Hello" in the paper's evaluation. The behaviour is not asked then; recorded people keep their own words. */
  readonly firstMessage?: string | undefined;
  /** Deadline for one message, in milliseconds, repeated asking included. */
  readonly timeoutMs?: number | undefined;
}

/** One message of a simulated user and what it gave away. */
export interface UserTurn {
  readonly text: string;
  /** The golden items that this message disclosed for the first time. */
  readonly disclosed: readonly ProfileItem[];
  /** How many of them are beyond the budget. */
  readonly overBudget: number;
  /** The user will not answer once more. */
  readonly done: boolean;
  /** The golden profile in force. */
  readonly golden: Profile;
}

/** How often a behaviour that tells too much is asked for another message before the message is trimmed. */
const secondChances = 2;

/**
 * A user to talk to in training and evaluation. It measures what each message discloses of the golden profile and holds the behaviour
 * to its budget: nothing in the first message, then `max(1, ⌊disclosurePerTurn · |P|⌋)` items a message. What tells more is asked for
 * again, then loses sentences, and what is still too much is reported as `overBudget`. Recorded people are only measured.
 *
 * @throws `invalid-option` for a share outside (0, 1] or a deadline that is not positive.
 * @example
 * import { generatePersonas, Random, scriptedBehaviour, SimulatedUser } from 'rlpa';
 * const [persona] = generatePersonas({ count: 1, seed: 1 });
 * const user = new SimulatedUser({ behaviour: scriptedBehaviour(), firstMessage: 'Hello' });
 * const session = user.begin(persona!, new Random(7));
 * const { text, disclosed } = await session.next([]);
 */
export class SimulatedUser {
  readonly behaviour: UserBehaviour;
  readonly disclosurePerTurn: number;
  readonly firstMessage: string | undefined;
  readonly timeoutMs: number;

  constructor(options: SimulatedUserOptions) {
    checkKnown('SimulatedUser', options, { behaviour: true, disclosurePerTurn: true, firstMessage: true, timeoutMs: true });
    const { behaviour, disclosurePerTurn = 0.15, firstMessage, timeoutMs = 120_000 } = options;
    if (!(disclosurePerTurn > 0 && disclosurePerTurn <= 1))
      throw invalidOption('SimulatedUser', 'disclosurePerTurn', 'a number in (0, 1]', disclosurePerTurn);
    checkTimeout('SimulatedUser', timeoutMs);
    if (firstMessage?.trim() === '') throw invalidOption('SimulatedUser', 'firstMessage', 'text that is not empty', firstMessage);
    this.behaviour = behaviour;
    this.disclosurePerTurn = disclosurePerTurn;
    this.firstMessage = firstMessage;
    this.timeoutMs = timeoutMs;
  }

  /**
   * Refuses who cannot be played, before any dialogue begins.
   *
   * @throws `invalid-persona` for an empty golden profile, a change before turn 2, or no messages where they are to be replayed.
   */
  check(persona: Persona): void {
    checkPersona(persona);
    if (this.behaviour.recorded && !(persona.messages && persona.messages.length > 0)) {
      throw new RlpaError('invalid-persona', `Persona "${persona.id}" has no recorded messages for the ${this.behaviour.name} behaviour.`, {
        persona: persona.id,
      });
    }
  }

  /**
   * Starts a dialogue as this persona. All that the user does at random comes from `random`.
   *
   * @throws as {@link check}
   */
  begin(persona: Persona, random: Random): UserSession {
    this.check(persona);
    return new UserSession(this, persona, random);
  }
}

/** A dialogue under way with one simulated user: which turn it is, and what the user has told. */
export class UserSession {
  readonly persona: Persona;
  readonly #user: SimulatedUser;
  readonly #random: Random;
  readonly #disclosed = new Set<string>();
  #turn = 0;
  #golden: Profile;

  /** @internal See `SimulatedUser.begin`. */
  constructor(user: SimulatedUser, persona: Persona, random: Random) {
    this.#user = user;
    this.persona = persona;
    this.#random = random;
    this.#golden = persona.profile;
  }

  /** How many messages the user has written. */
  get turn(): number {
    return this.#turn;
  }

  /** The golden profile in force. */
  get golden(): Profile {
    return this.#golden;
  }

  /** The items of the golden profile in force that the user has disclosed so far. What a change made new is undisclosed again. */
  get disclosed(): readonly ProfileItem[] {
    return this.#golden.items().filter((item) => this.#disclosed.has(item.key));
  }

  /**
   * The user's next message.
   *
   * @param dialogue all that was said so far; empty before the user's first message
   * @throws `timeout`, `aborted`, and what the behaviour throws. The session can be asked again after that.
   */
  async next(dialogue: readonly DialogueMessage[], options: { signal?: AbortSignal } = {}): Promise<UserTurn> {
    checkKnown('UserSession.next', options, { signal: true });
    const turn = this.#turn + 1;
    const { change } = this.persona;
    const golden = change && turn >= change.turn ? change.profile : this.persona.profile;
    const undisclosed = golden.items().filter((item) => !this.#disclosed.has(item.key));
    const budget = turn === 1 ? 0 : Math.max(1, Math.floor(this.#user.disclosurePerTurn * golden.size + 1e-9));

    const { utterance, disclosed } = await withDeadline(
      `The ${this.#user.behaviour.name} user "${this.persona.id}"`,
      this.#user.timeoutMs,
      options.signal,
      (deadline) => this.#speak({ dialogue, turn, golden, undisclosed, budget, signal: deadline }),
    );
    this.#turn = turn;
    this.#golden = golden;
    for (const item of disclosed) this.#disclosed.add(item.key);
    return {
      text: utterance.text,
      disclosed,
      overBudget: Math.max(0, disclosed.length - budget),
      done: utterance.done ?? false,
      golden,
    };
  }

  /** Asks the behaviour, holds it to the budget, and measures what is said in the end. */
  async #speak(asked: {
    dialogue: readonly DialogueMessage[];
    turn: number;
    golden: Profile;
    undisclosed: readonly ProfileItem[];
    budget: number;
    signal: AbortSignal;
  }): Promise<{ utterance: UserUtterance; disclosed: readonly ProfileItem[] }> {
    const { behaviour, firstMessage } = this.#user;
    const { undisclosed, budget } = asked;
    if (asked.turn === 1 && firstMessage !== undefined && !behaviour.recorded) {
      return { utterance: { text: firstMessage }, disclosed: disclosedItems(firstMessage, undisclosed) };
    }
    const rejected: string[] = [];
    for (;;) {
      const utterance = await behaviour.reply({
        ...asked,
        persona: this.persona,
        disclosed: new Set(this.#disclosed),
        rejected,
        random: this.#random,
      });
      const disclosed = newlyDisclosed(utterance, undisclosed);
      if (disclosed.length <= budget || behaviour.recorded) return { utterance, disclosed };
      if (rejected.length === secondChances) {
        const text = trimToBudget(utterance.text, undisclosed, budget);
        return { utterance: { ...utterance, text }, disclosed: disclosedItems(text, undisclosed) };
      }
      rejected.push(utterance.text);
    }
  }
}

/** What the text shows, and what the behaviour says that it told in other words. */
function newlyDisclosed(utterance: UserUtterance, undisclosed: readonly ProfileItem[]): ProfileItem[] {
  const keys = new Set([...disclosedItems(utterance.text, undisclosed), ...(utterance.disclosed ?? [])].map((item) => item.key));
  return undisclosed.filter((item) => keys.has(item.key));
}
