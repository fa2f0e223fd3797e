import { type Command, Option } from 'commander';
import { type ChatModel, openAIChat } from '../chat/index';
import { httpUrl, positiveInteger } from './arguments';
import type { Terminal } from './terminal';
import { UsageError } from './usage-error';

/** Who simulates and judges, in `train` and `eval`. */
export interface HelperFlags {
  readonly userModel?: string;
  readonly userBaseUrl?: string;
  readonly judgeModel?: string;
  readonly judgeBaseUrl?: string;
  readonly concurrency: number;
}

export function addHelperOptions(command: Command): Command {
  return command
    .optionsGroup('Chat models as users and judge (neither is needed):')
    .option('--user-model <name>', 'let this chat model play the users (default: scripted users)')
    .option('--user-base-url <url>', 'its OpenAI-compatible server (default: $OPENAI_BASE_URL)', httpUrl)
    .option('--judge-model <name>', 'let this chat model judge the replies (default: transparent rules)')
    .option('--judge-base-url <url>', 'its OpenAI-compatible server (default: $OPENAI_BASE_URL)', httpUrl)
    .addOption(concurrencyOption());
}

export function concurrencyOption(): Option {
  return new Option('--concurrency <n>', 'most requests open at each chat model').argParser(positiveInteger).default(8);
}

export function helpersFromFlags(
  { userModel, userBaseUrl, judgeModel, judgeBaseUrl, concurrency }: HelperFlags,
  terminal: Terminal,
): { readonly userModel?: ChatModel; readonly judgeModel?: ChatModel } {
  return {
    userModel: chatModelFromFlags({ model: userModel, baseUrl: userBaseUrl, flag: '--user-model', concurrency }, terminal),
    judgeModel: chatModelFromFlags({ model: judgeModel, baseUrl: judgeBaseUrl, flag: '--judge-model', concurrency }, terminal),
  };
}

/**
 * The chat model that the flags name, if any. A key is never a flag, which a process list would show. `OPENAI_API_KEY` belongs to OpenAI
 * or to `OPENAI_BASE_URL`; a server that a flag names gets `RLPA_API_KEY`, if there is one, so that no key goes where it was not meant to.
 *
 * @param named.flag the flag that names the model, for messages
 */
export function chatModelFromFlags(
  named: { readonly model?: string; readonly baseUrl?: string; readonly flag: string; readonly concurrency?: number },
  { env }: Terminal,
): ChatModel | undefined {
  const { model, baseUrl, flag, concurrency } = named;
  const baseUrlFlag = flag.replace('model', 'base-url');
  if (model === undefined) {
    if (baseUrl !== undefined) throw new UsageError(`${baseUrlFlag} needs ${flag} NAME: the model to ask for at that address.`);
    return undefined;
  }
  if (baseUrl !== undefined) return openAIChat({ model, baseURL: baseUrl, apiKey: env.RLPA_API_KEY, concurrency });
  if (!env.OPENAI_API_KEY && !env.OPENAI_BASE_URL) {
    throw new UsageError(`${flag} ${model} needs OPENAI_API_KEY in the environment, or ${baseUrlFlag} URL of an OpenAI-compatible server.`);
  }
  return openAIChat({ model, baseURL: env.OPENAI_BASE_URL, apiKey: env.OPENAI_API_KEY, concurrency });
}

/** For the help of every command that takes a chat model. */
export const apiKeyHelp = `
API keys are read from the environment: OPENAI_API_KEY for OpenAI or $OPENAI_BASE_URL, RLPA_API_KEY for a server given by a flag.
`;
