import { createInterface } from 'node:readline';
import type { PersonalizedAgent } from '../agent/index';
import { RlpaError, throwIfAborted } from '../errors';
import { changeText } from '../profile/index';
import type { CommandContext } from './context';
import { describeProfile } from './results';
import { painter } from './terminal';

export interface ConversationTurn {
  readonly message: string;
  readonly reply: string;
  /** In words, such as 'occupation: set to nurse'. */
  readonly changes: readonly string[];
  /** After the turn. */
  readonly profile: Readonly<Record<string, unknown>>;
  /** What was wrong with the model's output, if anything was. */
  readonly problem?: string;
}

const prompt = 'you   › ';

/**
 * Reads messages line by line, from a person or a pipe, until the input ends or says `/quit`, and returns the turns. Ctrl-C stops
 * the answer that is being written; when none is, it ends the conversation.
 *
 * @param show print the conversation as it goes on
 */
export async function converse(agent: PersonalizedAgent, { terminal, signal }: CommandContext, show: boolean): Promise<ConversationTurn[]> {
  const interactive = terminal.stdin.isTTY === true && show;
  const paint = painter(terminal, 'stdout');
  const write = (text: string) => show && terminal.stdout.write(text);
  const lines = createInterface({ input: terminal.stdin, output: interactive ? terminal.stdout : undefined, prompt, signal });
  const turns: ConversationTurn[] = [];
  let answering: AbortController | undefined;
  lines.on('SIGINT', () => (answering ? answering.abort() : lines.close()));
  if (interactive) lines.prompt();
  for await (const line of lines) {
    const message = line.trim();
    if (message === '/quit') break;
    if (message === '/profile') write(`${describeProfile(turns.at(-1)?.profile ?? {})}\n`);
    else if (message !== '') {
      if (!interactive) write(`${prompt}${message}\n`);
      answering = new AbortController();
      try {
        write('agent › ');
        const turn = await answer(agent, message, AbortSignal.any([signal, answering.signal]), write);
        turns.push(turn);
        write('\n');
        for (const change of turn.changes) write(`${paint('green', `        ${change}`)}\n`);
        if (turn.problem) write(`${paint('red', `        ${turn.problem}`)}\n`);
      } catch (error) {
        if (signal.aborted || !answering.signal.aborted) {
          write('\n');
          throw error;
        }
        write(`${paint('dim', '(stopped)')}\n`);
      } finally {
        answering = undefined;
      }
    }
    if (interactive) lines.prompt();
  }
  lines.close();
  throwIfAborted(signal);
  return turns;
}

/** One turn, its reply written as it is generated. */
async function answer(
  agent: PersonalizedAgent,
  message: string,
  signal: AbortSignal,
  write: (text: string) => void,
): Promise<ConversationTurn> {
  for await (const part of agent.stream({ userId: 'terminal', message, signal })) {
    if (part.type === 'reply') write(part.text);
    if (part.type === 'finish') {
      return {
        message,
        reply: part.reply,
        changes: part.changes.map(changeText),
        profile: part.profile.toJSON(),
        problem: part.problem?.message,
      };
    }
  }
  throw new RlpaError('model-failed', 'The agent ended its turn without a result.');
}
