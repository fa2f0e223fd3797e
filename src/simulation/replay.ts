import type { UserBehaviour } from './user-behaviour';

/**
 * Says what a recorded person said (`Persona.messages`), in order, whatever it is answered. Done with the last message.
 *
 * @example
 * import { replayBehaviour, SimulatedUser } from 'rlpa';
 * const user = new SimulatedUser({ behaviour: replayBehaviour() });
 */
export function replayBehaviour(): UserBehaviour {
  return {
    name: 'replay',
    recorded: true,
    async reply({ persona, turn }) {
      const messages = persona.messages ?? [];
      return { text: messages[turn - 1] ?? '', done: turn >= messages.length };
    },
  };
}
