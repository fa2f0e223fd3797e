import type { Command } from 'commander';
import type { DeviceKind } from '../device/index';
import type { OpenedPolicy } from '../experiments/index';
import { ProfileSchema } from '../profile/index';
import { httpUrl, policyFolder } from './arguments';
import { chatModelFromFlags } from './chat-model-options';
import type { CommandContext } from './context';
import { deviceOption } from './shared-options';
import { printLine } from './terminal';
import { UsageError } from './usage-error';

/** Who answers, in `chat` and `serve`, or is measured, in `eval`. */
export interface SpeakerFlags {
  readonly policy?: string;
  readonly model?: string;
  readonly baseUrl?: string;
  readonly device: DeviceKind;
}

/** The options that {@link SpeakerFlags} are read from. */
export function addSpeakerOptions(command: Command, heading: string): Command {
  return command
    .optionsGroup(heading)
    .option('--policy <folder>', 'a policy that was saved by train', policyFolder)
    .addOption(deviceOption())
    .option('--model <name>', 'a chat model behind an OpenAI-compatible API')
    .option('--base-url <url>', 'its server (default: $OPENAI_BASE_URL)', httpUrl);
}

/** A policy brings the schema that it was trained with; a chat model gets the standard one. */
export async function openSpeaker({ policy, model, baseUrl, device }: SpeakerFlags, context: CommandContext): Promise<OpenedPolicy> {
  const chatModel = chatModelFromFlags({ model, baseUrl, flag: '--model' }, context.terminal);
  if ((policy === undefined) === (chatModel === undefined)) {
    throw new UsageError('Say who answers: either --policy FOLDER or --model NAME.');
  }
  if (policy !== undefined) {
    const onWarning = (message: string) => printLine(context.terminal.stderr, message);
    return context.openPolicy(policy, { device, onWarning, signal: context.signal });
  }
  return { model: chatModel!, schema: ProfileSchema.standard, dispose: async () => {} };
}
