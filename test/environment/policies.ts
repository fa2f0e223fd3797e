import { DialogueEnvironment, type DialogueEnvironmentOptions } from '../../src/environment/index';
import type { Policy, PolicyAction, PolicyState } from '../../src/policy/policy';
import { formatTurn, ProfileSchema } from '../../src/profile/index';
import { DualReward } from '../../src/reward/index';
import { type Persona, SimulatedUser, scriptedBehaviour, type UserBehaviour } from '../../src/simulation/index';

export const schema = ProfileSchema.standard;

export const persona: Persona = {
  id: 'ada',
  profile: schema.profile({ age: 34, interests: ['chess', 'hiking'], occupation: 'nurse', location: 'Oslo' }),
};

export function action(text: string, rest: Partial<PolicyAction> = {}): PolicyAction {
  return { text, finishReason: 'stop', usage: { inputTokens: 1, outputTokens: 1 }, ...rest };
}

/** An action of the right form. */
export function turn(values: Parameters<typeof schema.profile>[0], reply: string): PolicyAction {
  return action(formatTurn(schema.profile(values), reply));
}

/** A policy made of a function, that keeps the batches it was given. */
export function policyOf(
  act: (state: PolicyState) => PolicyAction | Promise<PolicyAction>,
): Policy & { batches: PolicyState[][]; released: string[] } {
  const batches: PolicyState[][] = [];
  const released: string[] = [];
  return {
    name: 'by hand',
    batches,
    released,
    async act(states) {
      batches.push([...states]);
      return Promise.all(states.map(act));
    },
    release(ids) {
      released.push(...ids);
    },
  };
}

/** Says the lines in order, to everybody. */
export function saying(...lines: string[]): UserBehaviour {
  return { name: 'lines', reply: async ({ turn }) => ({ text: lines[turn - 1] ?? 'Hm.', done: false }) };
}

export function environmentOf(options: Partial<DialogueEnvironmentOptions> & { behaviour?: UserBehaviour } = {}): DialogueEnvironment {
  const { behaviour = scriptedBehaviour(), ...rest } = options;
  return new DialogueEnvironment({
    schema,
    user: new SimulatedUser({ behaviour, firstMessage: 'Hello' }),
    reward: new DualReward({ parts: 'profile' }),
    ...rest,
  });
}
