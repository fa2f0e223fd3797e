import { type ChatModel, openAIChat } from '../chat/index';
import type { Terminal } from './terminal';
import { UsageError } from './usage-error';

/** How an option group names a chat model: `--user-model` with `--user-base-url`, and so on. */
export interface ChatModelFlags {
  readonly model?: string;
  readonly baseUrl?: string;
  /** The flag that names the model, for messages: '--user-model'. */
  readonly modelFlag: string;
  readonly baseUrlFlag: string;
}

/**
 * The chat model that the flags name, if any. A key is never a flag, which a process list would show. `OPENAI_API_KEY` belongs to OpenAI
 * or to `OPENAI_BASE_URL`; a server that a flag names gets `RLPA_API_KEY`, if there is one, so that no key goes where it was not meant to.
 */
export function chatModelFromFlags(flags: ChatModelFlags, { env }: Terminal): ChatModel | undefined {
  const { model, baseUrl, modelFlag, baseUrlFlag } = flags;
  if (model === undefined) {
    if (baseUrl !== undefined) throw new UsageError(`${baseUrlFlag} needs ${modelFlag} NAME: the model to ask for at that address.`);
    return undefined;
  }
  if (baseUrl !== undefined) return openAIChat({ model, baseURL: baseUrl, apiKey: env.RLPA_API_KEY });
  if (!env.OPENAI_API_KEY && !env.OPENAI_BASE_URL) {
    throw new UsageError(
      `${modelFlag} ${model} needs OPENAI_API_KEY in the environment, or ${baseUrlFlag} URL of an OpenAI-compatible server.`,
    );
  }
  return openAIChat({ model, baseURL: env.OPENAI_BASE_URL, apiKey: env.OPENAI_API_KEY });
}

/** For the help of every command that takes a chat model. */
export const apiKeyHelp = `
API keys are read from the environment: OPENAI_API_KEY for OpenAI or $OPENAI_BASE_URL, RLPA_API_KEY for a server given by a flag.
`;
