import { type ChatModel, isModelFailure } from '../chat/index';
import { checkTimeout, forkSignal } from '../deadline';
import { checkKnown, invalidOption, type RlpaError, throwIfAborted } from '../errors';
import type { ActOptions, Policy, PolicyAction, PolicyState } from './policy';

export interface ChatPolicyOptions {
  /** Most tokens of one output; default 512. */
  readonly maxTokens?: number | undefined;
  /** Where `act` is not told; default 1. */
  readonly temperature?: number | undefined;
  /** Deadline of one action, in milliseconds; the model's own by default. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Any chat model as a policy, to be evaluated beside trained ones in the same environment. It reads what they read, writes the same
 * form, and has no tokens to train on. How many requests are open at once is the model's own limit. A request that fails costs its own
 * dialogue the turn and the rest, and no other.
 *
 * @throws RlpaError `invalid-option` for limits that are not positive; from `act`, `aborted` and what the model throws that is no failure
 *   of one answer.
 * @example
 * import { chatPolicy, evaluate, openAIChat } from 'rlpa';
 * import { tinyTask } from 'rlpa/tiny';
 * const { measuring, heldOut } = tinyTask();
 * const report = await evaluate({ ...measuring, policy: chatPolicy(openAIChat({ model: 'gpt-4o-mini' })), personas: heldOut });
 */
export function chatPolicy(model: ChatModel, options: ChatPolicyOptions = {}): Policy {
  checkKnown('chatPolicy', options, { maxTokens: true, temperature: true, timeoutMs: true });
  const { maxTokens = 512, temperature = 1, timeoutMs } = options;
  if (timeoutMs !== undefined) checkTimeout('chatPolicy', timeoutMs);
  for (const [option, value] of Object.entries({ maxTokens, temperature })) {
    if (!(value > 0)) throw invalidOption('chatPolicy', option, 'a number above 0', value);
  }
  return {
    name: model.name,
    async act(states, how: ActOptions = {}) {
      checkKnown('Policy.act', how, { signal: true, temperature: true });
      const { temperature: asked = temperature, signal } = how;
      const { signals, release } = forkSignal(signal, states.length);
      const answer = async ({ messages, seed }: PolicyState, index: number): Promise<PolicyAction | RlpaError> => {
        const request = { messages, seed, temperature: asked, maxTokens, timeoutMs, signal: signals[index] };
        try {
          const { text, usage, finishReason } = await model.generate(request);
          return { text, usage, finishReason: finishReason === 'length' ? 'length' : 'stop' };
        } catch (error) {
          throwIfAborted(signal);
          if (isModelFailure(error)) return error;
          throw error;
        }
      };
      try {
        return await Promise.all(states.map(answer));
      } finally {
        release();
      }
    },
  };
}
