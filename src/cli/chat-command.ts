import { Command } from 'commander';
import { PersonalizedAgent } from '../agent/index';
import { apiKeyHelp } from './chat-model-options';
import type { CommandContext } from './context';
import { Conversation } from './conversation';
import { addSpeakerOptions, openSpeaker, type SpeakerFlags } from './speaker';
import { openStore, storeHelp, storeOption } from './store-option';
import { printLine } from './terminal';

interface ChatFlags extends SpeakerFlags {
  readonly store: string;
  readonly user: string;
  readonly json?: boolean;
}

const introduction = 'Write a message. /help lists what else there is. Ctrl-C stops an answer, Ctrl-D leaves.\n';

const examples = `
Examples:
  Talk to a policy that you trained:
    $ rlpa chat --policy runs/first/policy
  Be known the next time:
    $ rlpa chat --policy runs/first/policy --store file:profiles --user me
  Send messages from a file, one a line, and get the turns as JSON:
    $ rlpa chat --model gpt-4o-mini --json < messages.txt

While talking, /profile shows what the agent knows and why, /history what it knew, and /forget erases it; Ctrl-C stops an answer, /quit or
Ctrl-D leaves.
`;

/** `rlpa chat`: a conversation in the terminal, showing the profile as it changes. */
export function chatCommand(context: CommandContext): Command {
  return addSpeakerOptions(
    new Command('chat').description(
      'Talk to a trained policy or to a chat model through a personalized agent, and see what it learns about you.',
    ),
    'Who answers (one of both):',
  )
    .optionsGroup('Profiles:')
    .addOption(storeOption())
    .option('--user <name>', 'who you are in the store', 'you')
    .optionsGroup('Output:')
    .option('--json', 'for machines: stdout is one JSON object with all turns, printed at the end')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', examples + storeHelp + apiKeyHelp)
    .action((flags: ChatFlags) => chat(flags, context));
}

async function chat(flags: ChatFlags, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const { store, close } = await openStore(flags.store, terminal);
  try {
    const speaker = await openSpeaker(flags, context);
    try {
      const { schema, model, prompt } = speaker;
      const agent = new PersonalizedAgent({ schema, model, prompt, store });
      if (terminal.stdin.isTTY && !flags.json) printLine(terminal.stderr, introduction);
      const turns = await new Conversation(agent, flags.user, context, !flags.json).run();
      if (flags.json) printLine(terminal.stdout, JSON.stringify({ command: 'chat', turns, profile: turns.at(-1)?.profile ?? {} }));
    } finally {
      await speaker.dispose();
    }
  } finally {
    await close();
  }
}
