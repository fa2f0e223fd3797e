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
 * The chat model that the flags name, if any. The key is never a flag, which a process list would show: it comes from `OPENAI_API_KEY`.
 * A server of one's own usually needs none.
 */
export function chatModelFromFlags(flags: ChatModelFlags, terminal: Terminal): ChatModel | undefined {
  const { model, modelFlag, baseUrlFlag } = flags;
  if (model === undefined) {
    if (flags.baseUrl !== undefined) throw new UsageError(`${baseUrlFlag} needs ${modelFlag} NAME: the model to ask for at that address.`);
    return undefined;
  }
  const baseURL = flags.baseUrl ?? terminal.env.OPENAI_BASE_URL;
  const apiKey = terminal.env.OPENAI_API_KEY;
  if (baseURL === undefined && !apiKey) {
    throw new UsageError(
      `${modelFlag} ${model} needs OPENAI_API_KEY in the environment, or ${baseUrlFlag} URL of an OpenAI-compatible server.`,
    );
  }
  return openAIChat({ model, baseURL, apiKey: apiKey || 'none' });
}
