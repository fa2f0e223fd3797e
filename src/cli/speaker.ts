import type { OpenedPolicy } from '../experiments/index';
import { ProfileSchema } from '../profile/index';
import { chatModelFromFlags } from './chat-model-options';
import type { CommandContext } from './context';
import { UsageError } from './usage-error';

/** Who answers, in `chat` and `serve`. */
export interface SpeakerFlags {
  readonly policy?: string;
  readonly model?: string;
  readonly baseUrl?: string;
}

/** A policy brings the schema that it was trained with; a chat model gets the standard one. */
export async function openSpeaker({ policy, model, baseUrl }: SpeakerFlags, context: CommandContext): Promise<OpenedPolicy> {
  const chatModel = chatModelFromFlags({ model, baseUrl, flag: '--model' }, context.terminal);
  if ((policy === undefined) === (chatModel === undefined)) {
    throw new UsageError('Say who answers: either --policy FOLDER or --model NAME.');
  }
  if (policy !== undefined) return context.openPolicy(policy, context.signal);
  return { model: chatModel!, schema: ProfileSchema.standard, dispose: async () => {} };
}
