import { type Command, Option } from 'commander';
import { type OpenAIChatModel, openAIChat } from '../chat/index';
import { httpUrl, positiveInteger, seconds } from './arguments';
import type { Terminal } from './terminal';
import { UsageError } from './usage-error';

/** Who simulates and judges, in `train` and `eval`. */
export interface HelperFlags {
  readonly userModel?: string;
  readonly userBaseUrl?: string;
  readonly judgeModel?: string;
  readonly judgeBaseUrl?: string;
  readonly concurrency: number;
  readonly requestTimeout: number;
}

export function addHelperOptions(command: Command): Command {
  return command
    .optionsGroup('Chat models as users and judge (neither is needed):')
    .option('--user-model <name>', 'let this chat model play the users (default: scripted users)')
    .option('--user-base-url <url>', 'its OpenAI-compatible server (default: $OPENAI_BASE_URL)', httpUrl)
    .option('--judge-model <name>', 'let this chat model judge the replies (default: transparent rules)')
    .option('--judge-base-url <url>', 'its OpenAI-compatible server (default: $OPENAI_BASE_URL)', httpUrl)
    .addOption(concurrencyOption())
    .addOption(requestTimeoutOption());
}

export function concurrencyOption(): Option {
  return new Option('--concurrency <n>', 'most requests open at each chat model').argParser(positiveInteger).default(8);
}

function requestTimeoutOption(): Option {
  const text = 'how long each request may take, repeating it included; then its turn goes without a verdict, or its dialogue ends';
  return new Option('--request-timeout <seconds>', text).argParser(seconds).default(60);
}

export function helpersFromFlags(
  { userModel, userBaseUrl, judgeModel, judgeBaseUrl, ...limits }: HelperFlags,
  terminal: Terminal,
): { readonly userModel?: OpenAIChatModel; readonly judgeModel?: OpenAIChatModel } {
  return {
    userModel: chatModelFromFlags({ model: userModel, baseUrl: userBaseUrl, flag: '--user-model', ...limits }, terminal),
    judgeModel: chatModelFromFlags({ model: judgeModel, baseUrl: judgeBaseUrl, flag: '--judge-model', ...limits }, terminal),
  };
}

/**
 * The chat model that the flags name, if any. A key is never a flag, which a process list would show. `OPENAI_API_KEY` belongs to OpenAI
 * or to `OPENAI_BASE_URL`; a server that a flag names gets `RLPA_API_KEY`, if there is one, so that no key goes where it was not meant to.
 *
 * @param named.flag the flag that names the model, for messages
 */
export function chatModelFromFlags(
  named: {
    readonly model?: string;
    readonly baseUrl?: string;
    readonly flag: string;
    readonly concurrency?: number;
    readonly requestTimeout?: number;
  },
  { env }: Terminal,
): OpenAIChatModel | undefined {
  const { flag, concurrency, requestTimeout } = named;
  const baseUrlFlag = flag.replace('model', 'base-url');
  if (named.model === undefined) {
    if (named.baseUrl !== undefined) throw new UsageError(`${baseUrlFlag} needs ${flag} NAME: the model to ask for at that address.`);
    return undefined;
  }
  const { model, baseURL, apiKey } = chatModelAddress({ model: named.model, baseUrl: named.baseUrl }, env);
  if (baseURL === undefined && !apiKey) {
    throw new UsageError(`${flag} ${model} needs OPENAI_API_KEY in the environment, or ${baseUrlFlag} URL of an OpenAI-compatible server.`);
  }
  return openAIChat({ model, baseURL, apiKey, concurrency, timeoutMs: requestTimeout && 1000 * requestTimeout });
}

export interface ChatModelAddress {
  readonly model: string;
  /** OpenAI's own where there is none. */
  readonly baseURL?: string;
  readonly apiKey?: string;
}

/** Where a chat model is, and the key that belongs there. */
export function chatModelAddress(
  { model, baseUrl }: { readonly model: string; readonly baseUrl?: string },
  env: Terminal['env'],
): ChatModelAddress {
  if (baseUrl !== undefined) return { model, baseURL: baseUrl, apiKey: env.RLPA_API_KEY?.trim() };
  return { model, baseURL: env.OPENAI_BASE_URL || undefined, apiKey: env.OPENAI_API_KEY?.trim() };
}

/** For the help of every command that takes a chat model. */
export const apiKeyHelp = `
API keys are read from the environment: OPENAI_API_KEY for OpenAI or $OPENAI_BASE_URL, RLPA_API_KEY for a server given by a flag.
`;
