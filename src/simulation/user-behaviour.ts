import type { Profile, ProfileItem } from '../profile/index';
import type { Random } from '../random';
import type { Persona } from './persona';

/** What user and assistant said to each other: replies only, never profile blocks. */
export interface DialogueMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** All that a behaviour may look at to write the user's next message. */
export interface UserContext {
  readonly persona: Persona;
  /** The golden profile in force at this turn. */
  readonly golden: Profile;
  readonly dialogue: readonly DialogueMessage[];
  /** 1 for the user's first message. */
  readonly turn: number;
  /** How many golden items this message may disclose. 0 in the first message. */
  readonly budget: number;
  /** Keys (`ProfileItem.key`) of the golden items that were disclosed before. */
  readonly disclosed: ReadonlySet<string>;
  /** Messages that the behaviour wrote for this very turn and that told more than the budget. */
  readonly rejected: readonly string[];
  readonly random: Random;
  readonly signal?: AbortSignal;
}

export interface UserUtterance {
  readonly text: string;
  /** The items that the behaviour knows it disclosed, if it does; otherwise they are measured from the text. */
  readonly disclosed?: readonly ProfileItem[];
  /** The user has nothing more to say: the dialogue ends after this message's answer. */
  readonly done?: boolean;
}

/** How a simulated user speaks: scripted, by a chat model, or by replaying a recording. */
export interface UserBehaviour {
  readonly name: string;
  /** Its messages are what a person really said (`Persona.messages`): they are measured, but neither asked for again nor trimmed. */
  readonly recorded?: boolean;
  reply(context: UserContext): Promise<UserUtterance>;
}
