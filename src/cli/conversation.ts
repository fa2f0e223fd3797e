import { createInterface } from 'node:readline';
import type { RecordedChange } from '../agent/index';
import { anySignal } from '../deadline';
import { RlpaError, throwIfAborted } from '../errors';
import { changeText } from '../profile/index';
import { messageWithAdvice } from './advice';
import type { CommandContext } from './context';
import type { KnownValue, Partner } from './partner';
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
const indent = ' '.repeat(prompt.length);

const commands = {
  '/profile': 'what the agent knows about you, and why',
  '/history': 'everything that it ever knew',
  '/forget': 'erase all of it, and begin anew',
  '/help': 'this list',
  '/quit': 'leave; Ctrl-D does too',
} as const;

/** A conversation in a terminal or over a pipe, a message a line. */
export class Conversation {
  readonly #partner: Partner;
  readonly #context: CommandContext;
  readonly #isShown: boolean;
  readonly #isInteractive: boolean;
  readonly #paint: ReturnType<typeof painter>;
  readonly #turns: ConversationTurn[] = [];
  /** Of the answer that is being written. */
  #answering: AbortController | undefined;

  /** @param isShown print the conversation as it goes on */
  constructor(partner: Partner, context: CommandContext, isShown: boolean) {
    this.#partner = partner;
    this.#context = context;
    this.#isShown = isShown;
    this.#isInteractive = context.terminal.stdin.isTTY === true && isShown;
    this.#paint = painter(context.terminal, 'stdout');
  }

  /**
   * Talks until the input ends or says `/quit`, and returns the turns. Ctrl-C stops the answer that is being written; when none is, it ends
   * the conversation. A person is told of an answer that fails and may go on; a pipe ends with it.
   */
  async run(): Promise<ConversationTurn[]> {
    const { terminal, signal } = this.#context;
    const lines = createInterface({ input: terminal.stdin, output: this.#isInteractive ? terminal.stdout : undefined, prompt, signal });
    lines.on('SIGINT', () => {
      if (this.#answering) return this.#answering.abort();
      this.#write('\n');
      lines.close();
    });
    let isOpen = true;
    lines.once('close', () => {
      isOpen = false;
    });
    const prompted = () => this.#isInteractive && isOpen && lines.prompt();
    if (this.#isInteractive) await this.#greet();
    prompted();
    for await (const line of lines) {
      const text = line.trim();
      if (text === '/quit') break;
      if (text.startsWith('/')) await this.#obey(text);
      else if (text !== '') await this.#say(text);
      prompted();
    }
    lines.close();
    throwIfAborted(signal);
    return this.#turns;
  }

  async #greet(): Promise<void> {
    const known = await this.#partner.known();
    if (known.length > 0)
      this.#write(this.#paint('dim', `Known from before: ${known.map(({ slot, text }) => `${slot}: ${text}`).join(' · ')}\n`));
  }

  async #obey(command: string): Promise<void> {
    if (command === '/profile') {
      const known = await this.#partner.known();
      if (known.length === 0) this.#write('Nothing is known yet.\n');
      for (const item of known) this.#write(`${item.slot}: ${item.text}${this.#paint('dim', sourceText(item))}\n`);
    } else if (command === '/history' || command === '/forget') {
      await this.#remember(command);
    } else {
      if (command !== '/help') this.#write(`There is no ${command.split(/\s/)[0]}. What there is:\n`);
      for (const [name, meaning] of Object.entries(commands)) this.#write(`${name.padEnd(10)}${meaning}\n`);
    }
  }

  async #remember(command: '/history' | '/forget'): Promise<void> {
    const { memory } = this.#partner;
    if (!memory) this.#write('Out of reach from here: the server keeps what it knows.\n');
    else if (command === '/history') {
      const items = await memory.history();
      if (items.length === 0) this.#write('Nothing was ever known.\n');
      for (const { slot, text, validFrom, validTo } of items) {
        this.#write(`${slot}: ${text}${this.#paint('dim', `  ${timeText(validFrom)} – ${validTo ? timeText(validTo) : 'now'}`)}\n`);
      }
    } else this.#write((await memory.erase()) ? 'All of it is erased.\n' : 'There was nothing to forget.\n');
  }

  async #say(message: string): Promise<void> {
    const { signal } = this.#context;
    if (!this.#isInteractive) this.#write(`${prompt}${message}\n`);
    this.#write('agent › ');
    this.#answering = new AbortController();
    const stop = anySignal(signal, this.#answering.signal);
    try {
      const { turn, changes } = await this.#answer(message, stop.signal);
      this.#turns.push(turn);
      this.#write('\n');
      for (const change of changes)
        this.#write(`${indent}${this.#paint('green', changeText(change))}${this.#paint('dim', sourceText(change))}\n`);
      if (turn.problem) this.#write(`${indent}${this.#paint('red', turn.problem)}\n`);
    } catch (error) {
      if (this.#answering.signal.aborted && !signal.aborted) this.#write(`${this.#paint('dim', '(stopped)')}\n`);
      else {
        this.#write('\n');
        if (signal.aborted || !this.#isInteractive || !RlpaError.isInstance(error)) throw error;
        this.#write(`${indent}${this.#paint('red', messageWithAdvice(error))}\n`);
      }
    } finally {
      stop.release();
      this.#answering = undefined;
    }
  }

  /** One turn, its reply written as it is generated. */
  async #answer(
    message: string,
    signal: AbortSignal,
  ): Promise<{ readonly turn: ConversationTurn; readonly changes: readonly RecordedChange[] }> {
    for await (const part of this.#partner.stream(message, signal)) {
      if (part.type === 'reply') this.#write(part.text);
      if (part.type === 'finish') {
        const { reply, changes, profile, problem } = part;
        const turn = { message, reply, changes: changes.map(changeText), profile, problem: problem?.message };
        return { turn, changes };
      }
    }
    throw new RlpaError('model-failed', 'The turn ended without a result.');
  }

  #write(text: string): void {
    if (this.#isShown) this.#context.terminal.stdout.write(text);
  }
}

/** Why a value is believed: the user's own words, or how sure the model's conclusion is. */
function sourceText({ source, confidence, evidence }: Pick<KnownValue, 'source' | 'confidence' | 'evidence'>): string {
  const words = evidence ? `you said “${evidence.text}”` : '';
  if (source === 'inferred') return `  (a guess, ${Math.round(100 * (confidence ?? 0))} %${words && `: ${words}`})`;
  return words && `  (${words})`;
}

function timeText(iso: string): string {
  return iso.slice(0, 16).replace('T', ' ');
}
