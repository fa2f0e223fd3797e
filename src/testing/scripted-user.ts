import type { PersonalizedAgent, TurnRequest, TurnResult } from '../agent/index';
import type { SlotMap } from '../profile/index';
import type { DialogueMessage, UserBehaviour } from '../simulation/index';

/** Says the next message of a dialogue; undefined when there is nothing more to say. */
export type UserScript = readonly string[] | ((dialogue: readonly DialogueMessage[]) => string | undefined);

/** A user who says what a test tells them to: to an agent, or as the behaviour of a `SimulatedUser`. */
export interface ScriptedUser extends UserBehaviour {
  /** Says everything, one message after the other. @throws what `agent.respond` throws */
  talkTo<S extends SlotMap>(agent: PersonalizedAgent<S>, request: Omit<TurnRequest, 'message'>): Promise<TurnResult<S>[]>;
}

/**
 * A user by a list of messages, or by a function that sees what was said so far.
 *
 * @example
 * import { PersonalizedAgent, ProfileSchema } from 'rlpa';
 * import { scriptedChatModel, scriptedUser } from 'rlpa/testing';
 * const model = scriptedChatModel(['<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nHow was the shift?\n</response>']);
 * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model });
 * const turns = await scriptedUser(['I am a nurse.']).talkTo(agent, { userId: 'u1' });
 * turns[0]?.profile.values.occupation; // 'nurse'
 */
export function scriptedUser(script: UserScript): ScriptedUser {
  const said = (dialogue: readonly DialogueMessage[]) => dialogue.filter(({ role }) => role === 'user').length;
  const next = (dialogue: readonly DialogueMessage[]) => (typeof script === 'function' ? script(dialogue) : script[said(dialogue)]);
  return {
    name: 'scripted user',
    async reply({ dialogue }) {
      const text = next(dialogue);
      const isLast = typeof script !== 'function' && said(dialogue) >= script.length - 1;
      return { text: text ?? '', done: text === undefined || isLast };
    },
    async talkTo(agent, request) {
      const dialogue: DialogueMessage[] = [];
      const turns: Awaited<ReturnType<typeof agent.respond>>[] = [];
      for (let message = next(dialogue); message !== undefined; message = next(dialogue)) {
        const turn = await agent.respond({ ...request, message });
        turns.push(turn);
        dialogue.push({ role: 'user', content: message }, { role: 'assistant', content: turn.reply });
      }
      return turns;
    },
  };
}
