import { Command } from 'commander';
import { PersonalizedAgent } from '../agent/index';
import { apiKeyHelp, chatModelAddress } from './chat-model-options';
import type { CommandContext } from './context';
import { Conversation } from './conversation';
import { agentPartner, type Partner } from './partner';
import { addSpeakerOptions, openSpeaker, type SpeakerFlags } from './speaker';
import { openStore, storeHelp, storeOption } from './store-option';
import { printLine } from './terminal';
import { UsageError } from './usage-error';

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
  Talk to what "rlpa serve" serves, which keeps your profile itself:
    $ rlpa chat --model policy --base-url http://127.0.0.1:8000/v1 --user me
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
  const served = await findServer(flags, context);
  if (served) {
    if (flags.store !== 'memory') throw new UsageError('--store is for profiles that are kept here: this server keeps them itself.');
    return converse(served, flags, context);
  }
  const { store, close } = await openStore(flags.store, context.terminal);
  try {
    const speaker = await openSpeaker(flags, context);
    try {
      const { schema, model, prompt } = speaker;
      await converse(agentPartner(new PersonalizedAgent({ schema, model, prompt, store }), flags.user), flags, context);
    } finally {
      await speaker.dispose();
    }
  } finally {
    await close();
  }
}

/** A chat model that is an agent already, for `rlpa serve` answers at its address. */
async function findServer({ policy, model, baseUrl, user }: ChatFlags, { terminal, signal }: CommandContext): Promise<Partner | undefined> {
  if (policy !== undefined || model === undefined) return undefined;
  const { baseURL, ...address } = chatModelAddress({ model, baseUrl }, terminal.env);
  if (baseURL === undefined) return undefined;
  const { servedPartner } = await import('./served-partner');
  return servedPartner({ ...address, baseURL }, user, signal);
}

async function converse(partner: Partner, flags: ChatFlags, context: CommandContext): Promise<void> {
  const { terminal } = context;
  if (terminal.stdin.isTTY && !flags.json) printLine(terminal.stderr, introduction);
  const turns = await new Conversation(partner, context, !flags.json).run();
  if (flags.json) printLine(terminal.stdout, JSON.stringify({ command: 'chat', turns, profile: turns.at(-1)?.profile ?? {} }));
}
