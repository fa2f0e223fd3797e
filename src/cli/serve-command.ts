import { readFileSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { RlpaError } from '../errors';
import { existingFile, positiveInteger, positiveNumber, wholeNumber } from './arguments';
import { apiKeyHelp } from './chat-model-options';
import type { CommandContext } from './context';
import { addSpeakerOptions, openSpeaker, type SpeakerFlags } from './speaker';
import { openStore, storeHelp, storeOption } from './store-option';
import { painter, printLine, type Terminal } from './terminal';
import { UsageError } from './usage-error';

interface ServeFlags extends SpeakerFlags {
  readonly name?: string;
  readonly host: string;
  readonly port: number;
  readonly tokenFile?: string;
  readonly store: string;
  readonly concurrency: number;
  readonly queue: number;
  readonly timeout: number;
  readonly maxBody: number;
  readonly maxMessage: number;
  readonly grace: number;
  readonly log: 'none' | 'requests' | 'debug';
}

const examples = `
Examples:
  Serve a policy that you trained, to programs on this machine:
    $ rlpa serve --policy runs/first/policy
  Talk to it:
    $ curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \\
        -d '{"model": "policy", "user": "me", "messages": [{"role": "user", "content": "I am a nurse."}]}'
  Keep the profiles, and let other machines in who know the token:
    $ RLPA_SERVER_TOKEN=… rlpa serve --policy runs/first/policy --store file:profiles --host 0.0.0.0
  Give the users of any chat model a profile:
    $ rlpa serve --model gpt-4o-mini

Any OpenAI client talks to it. A request that names a user ("user") is a turn with that user: the server remembers the conversation and the
profile, and only the last message is new. One that names none is answered from its messages alone. Every answer tells the profile and what
changed in it, in the field "rlpa" of its message.
`;

const tokenHelp = `
The token is read from $RLPA_SERVER_TOKEN or a file, never from the command line, which every process on the machine can read.
`;

/** `rlpa serve`: a policy, or any chat model with a profile of its users, behind OpenAI's chat-completions protocol. */
export function serveCommand(context: CommandContext): Command {
  return addSpeakerOptions(
    new Command('serve').description("Serve a trained policy, with the profiles of its users, by OpenAI's chat-completions protocol."),
    'Who answers (one of both):',
  )
    .option('--name <id>', "the model's name for clients (default: the folder's, or the chat model's)")
    .optionsGroup('Where:')
    .option('--host <address>', 'where to listen; 0.0.0.0 lets other machines in', '127.0.0.1')
    .addOption(new Option('--port <n>', '0 takes any that is free').argParser(portNumber).default(8000))
    .option('--token-file <file>', 'a file with the token that clients have to show (default: $RLPA_SERVER_TOKEN)', existingFile)
    .optionsGroup('Profiles:')
    .addOption(storeOption())
    .optionsGroup('Limits:')
    .addOption(
      new Option('--concurrency <n>', 'most turns at a time; a policy computes up to 32 together').argParser(positiveInteger).default(32),
    )
    .addOption(new Option('--queue <n>', 'most turns that wait; more are told to come back (429)').argParser(wholeNumber).default(128))
    .addOption(new Option('--timeout <s>', 'longest that a turn may take, and that it may wait').argParser(positiveNumber).default(60))
    .addOption(new Option('--max-body <KiB>', 'largest request').argParser(positiveInteger).default(1024))
    .addOption(new Option('--max-message <characters>', 'longest message of a user').argParser(positiveInteger).default(32_768))
    .addOption(new Option('--grace <s>', 'how long Ctrl-C waits for turns under way').argParser(wholeNumber).default(10))
    .optionsGroup('Output:')
    .addOption(
      new Option('--log <what>', 'on stderr: nothing, a line for each request, or errors as well, which may quote what was said')
        .choices(['none', 'requests', 'debug'])
        .default('requests'),
    )
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', examples + storeHelp + tokenHelp + apiKeyHelp)
    .action((flags: ServeFlags) => serve(flags, context));
}

async function serve(flags: ServeFlags, context: CommandContext): Promise<void> {
  const { terminal, signal } = context;
  const token = readToken(flags, terminal);
  const { store, close } = await openStore(flags.store, terminal);
  try {
    const { dispose, ...speaker } = await openSpeaker(flags, context);
    try {
      const { isLoopback, requestLine, serveAgent } = await import('../server/index');
      await store.load('nobody', signal); // a store that cannot be reached is no use to anybody
      const name = flags.name ?? flags.model ?? basename(resolve(flags.policy!));
      const server = await serveAgent({
        ...speaker,
        store,
        modelName: name,
        host: flags.host,
        port: flags.port,
        token,
        concurrency: flags.concurrency,
        queue: flags.queue,
        timeoutMs: Math.ceil(flags.timeout * 1000),
        maxBodyBytes: flags.maxBody * 1024,
        maxMessageLength: flags.maxMessage,
        graceMs: flags.grace * 1000,
        onRequest(record) {
          if (flags.log !== 'none') printLine(terminal.stderr, `${new Date().toISOString()} ${requestLine(record)}`);
          if (flags.log === 'debug' && record.error !== undefined) printLine(terminal.stderr, `  ${failureText(record.error)}`);
        },
      });
      printLine(terminal.stdout, server.url);
      introduce({ name, token, flags, url: server.url, isOpen: !token && !isLoopback(flags.host) }, terminal);
      await fired(signal);
      const { running, waiting } = server.counters;
      if (running + waiting > 0) {
        const answers = running + waiting === 1 ? 'one answer' : `${running + waiting} answers`;
        printLine(terminal.stderr, `Finishing ${answers}, within ${flags.grace} s.`);
      }
      await server.close();
    } finally {
      await dispose();
    }
  } finally {
    await close();
  }
}

function introduce(
  served: {
    readonly name: string;
    readonly token?: string;
    readonly flags: ServeFlags;
    readonly url: string;
    /** To whoever reaches the address, from other machines as well. */
    readonly isOpen: boolean;
  },
  terminal: Terminal,
): void {
  const { name, token, flags, url, isOpen } = served;
  const { stderr } = terminal;
  const paint = painter(terminal, 'stderr');
  const profiles = flags.store === 'memory' ? 'in memory, and end with the server; --store keeps them' : `in ${flags.store}`;
  printLine(
    stderr,
    `Model "${name}" at ${paint('bold', url)}, ${token ? 'with the token' : 'without a token'}. Profiles are kept ${profiles}.`,
  );
  if (isOpen) {
    const warning = 'Warning: whoever reaches this address can talk to the model as any user. Set RLPA_SERVER_TOKEN.';
    printLine(stderr, paint('red', warning));
  }
  printLine(stderr, 'Ctrl-C stops.');
}

function readToken({ tokenFile }: ServeFlags, { env }: Terminal): string | undefined {
  if (tokenFile === undefined) return env.RLPA_SERVER_TOKEN || undefined;
  if (statSync(tokenFile).size > 10_000) throw new UsageError(`--token-file ${tokenFile}: expected a token, found a large file.`);
  const token = readFileSync(tokenFile, 'utf8').trim();
  if (!/^\S+$/.test(token)) throw new UsageError(`--token-file ${tokenFile}: expected one line with the token, without blanks.`);
  return token;
}

function failureText(error: unknown): string {
  if (RlpaError.isInstance(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function portNumber(text: string): number {
  const port = wholeNumber(text);
  if (port > 65_535) throw new InvalidArgumentError('Expected a port, 0 to 65535.');
  return port;
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
