import { Command, CommanderError } from 'commander';
import { RlpaError } from '../errors';
import { messageWithAdvice } from './advice';
import { chatCommand } from './chat-command';
import type { CommandContext } from './context';
import { demoCommand } from './demo';
import { evalCommand } from './eval-command';
import { exportCommand } from './export-command';
import { interruptedExitCode } from './interrupt';
import { serveCommand } from './serve-command';
import { printLine } from './terminal';
import { trainCommand } from './train-command';
import { UsageError } from './usage-error';

const version = '0.1.0'; // a test holds it to the package's

const overview = `
Start here:
  $ rlpa demo                                  watch a tiny policy learn, in a few minutes
  $ rlpa train --out runs/first                the same, kept
  $ rlpa chat --policy runs/first/policy       talk to it
  $ rlpa serve --policy runs/first/policy      let OpenAI clients talk to it

"rlpa COMMAND --help" explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`;

/** The command line as a program that throws instead of exiting. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('rlpa')
    .description('Reinforcement learning for personalized alignment: train policies that infer who they talk to.')
    .version(version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', overview);
  for (const create of [demoCommand, trainCommand, evalCommand, chatCommand, serveCommand, exportCommand])
    program.addCommand(create(context));
  const { stdout, stderr } = context.terminal;
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .configureOutput({ writeOut: (text) => stdout.write(text), writeErr: (text) => stderr.write(text) })
      .showHelpAfterError(`("${commandPath(command)} --help" lists the options.)`)
      .allowExcessArguments(false);
  }
  return program;
}

/** Runs the context's command line and returns its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
export async function runCommandLine(context: CommandContext): Promise<number> {
  const { stdout, stderr } = context.terminal;
  try {
    await createProgram(context).parseAsync([...context.argv], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof UsageError) {
      printLine(stderr, `error: ${error.message}`);
      return 2;
    }
    const json = context.argv.includes('--json');
    const interrupted = context.signal.aborted;
    if (json) printLine(stdout, JSON.stringify({ error: describeError(error) }));
    else printLine(stderr, `${interrupted ? '' : 'error: '}${errorText(error)}`);
    return interrupted ? interruptedExitCode : 1;
  }
}

function commandPath(command: Command): string {
  return command.parent ? `${commandPath(command.parent)} ${command.name()}` : command.name();
}

function describeError(error: unknown): Record<string, unknown> {
  if (RlpaError.isInstance(error)) return { code: error.code, message: error.message, details: error.details };
  return { code: 'unexpected', message: errorText(error) };
}

/** An expected failure is its message; anything else is a bug, and shows where it came from. */
function errorText(error: unknown): string {
  if (RlpaError.isInstance(error)) return messageWithAdvice(error);
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
