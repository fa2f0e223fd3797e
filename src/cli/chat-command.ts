import { Command } from 'commander';
import { PersonalizedAgent } from '../agent/index';
import type { OpenedPolicy } from '../experiments/index';
import { ProfileSchema } from '../profile/index';
import { existingFolder, httpUrl } from './arguments';
import { apiKeyHelp, chatModelFromFlags } from './chat-model-options';
import type { CommandContext } from './context';
import { converse } from './conversation';
import { printLine } from './terminal';
import { UsageError } from './usage-error';

interface ChatFlags {
  readonly policy?: string;
  readonly model?: string;
  readonly baseUrl?: string;
  readonly json?: boolean;
}

const introduction = 'Write a message. /profile shows what the agent knows, /quit leaves, Ctrl-C stops an answer.\n';

const examples = `
Examples:
  Talk to a policy that you trained:
    $ rlpa chat --policy runs/first/policy
  Send messages from a file, one a line, and get the turns as JSON:
    $ rlpa chat --model gpt-4o-mini --json < messages.txt

While talking: /profile shows what the agent knows, /quit or Ctrl-D leaves, Ctrl-C stops an answer.
`;

/** `rlpa chat`: a conversation in the terminal, showing the profile as it changes. */
export function chatCommand(context: CommandContext): Command {
  return new Command('chat')
    .description('Talk to a trained policy or to a chat model through a personalized agent, and see what it learns about you.')
    .optionsGroup('Who answers (one of both):')
    .option('--policy <folder>', 'a policy that was saved by train', existingFolder)
    .option('--model <name>', 'a chat model behind an OpenAI-compatible API')
    .option('--base-url <url>', 'its server (default: $OPENAI_BASE_URL)', httpUrl)
    .optionsGroup('Output:')
    .option('--json', 'for machines: stdout is one JSON object with all turns, printed at the end')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', examples + apiKeyHelp)
    .action((flags: ChatFlags) => chat(flags, context));
}

async function chat(flags: ChatFlags, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const speaker = await openSpeaker(flags, context);
  try {
    const agent = new PersonalizedAgent({ schema: speaker.schema, model: speaker.model, prompt: speaker.prompt });
    if (terminal.stdin.isTTY && !flags.json) printLine(terminal.stderr, introduction);
    const turns = await converse(agent, context, !flags.json);
    if (flags.json) printLine(terminal.stdout, JSON.stringify({ command: 'chat', turns, profile: turns.at(-1)?.profile ?? {} }));
  } finally {
    await speaker.dispose();
  }
}

/** A policy brings the schema that it was trained with; a chat model gets the standard one. */
async function openSpeaker({ policy, model, baseUrl }: ChatFlags, context: CommandContext): Promise<OpenedPolicy> {
  const chatModel = chatModelFromFlags({ model, baseUrl, flag: '--model' }, context.terminal);
  if ((policy === undefined) === (chatModel === undefined)) {
    throw new UsageError('Say who answers: either --policy FOLDER or --model NAME.');
  }
  if (policy !== undefined) return context.openPolicy(policy, context.signal);
  return { model: chatModel!, schema: ProfileSchema.standard, dispose: async () => {} };
}
