import type { RequestMessage } from './completion-request';
import { invalidRequest, type Refusal } from './refusal';

/** A message of the user and what was answered, with the profile that the answer came with where the client sent it back. */
export interface EarlierTurn {
  readonly message: string;
  readonly reply: string;
  readonly profile?: Readonly<Record<string, unknown>>;
}

/** A request's messages, as an agent reads them. */
export interface Dialogue {
  /** What the application wants, in its own words. */
  readonly instruction?: string;
  readonly turns: readonly EarlierTurn[];
  /** The latest message of the user, which is to be answered. */
  readonly message: string;
}

/**
 * Several messages of one side in a row are one message. What the assistant said before the user said anything is left out.
 *
 * @param maxMessageLength how many characters a message of the user may have: all of them are read, and patterns take their time
 */
export function readDialogue(messages: readonly RequestMessage[], maxMessageLength: number): Dialogue | Refusal {
  if (messages.at(-1)!.role !== 'user') return invalidRequest("messages: expected the user's message last.", 'invalid_value', 'messages');
  const instructions: string[] = [];
  const turns: EarlierTurn[] = [];
  let said: string[] = [];
  let answered: { reply: string[]; profile?: Readonly<Record<string, unknown>> } | undefined;
  const close = () => {
    if (answered && said.length > 0)
      turns.push({ message: joined(said), reply: joined(answered.reply), ...(answered.profile && { profile: answered.profile }) });
    if (answered) said = [];
    answered = undefined;
  };
  for (const message of messages) {
    if (message.role === 'user') {
      close();
      said.push(message.content);
    } else if (message.role === 'assistant') {
      answered ??= { reply: [] };
      answered.reply.push(message.content ?? '');
      answered.profile = message.rlpa?.profile ?? answered.profile;
    } else instructions.push(message.content);
  }
  const message = joined(said);
  if (message.trim() === '')
    return invalidRequest('messages: the last message is empty.', 'invalid_value', `messages[${messages.length - 1}].content`);
  const longest = turns.reduce((most, turn) => Math.max(most, turn.message.length), message.length);
  if (longest > maxMessageLength) {
    const limit = `messages: a message of the user may have ${maxMessageLength} characters; one has ${longest}.`;
    return invalidRequest(limit, 'string_above_max_length', 'messages');
  }
  return { turns, message, ...(instructions.length > 0 && { instruction: joined(instructions) }) };
}

function joined(texts: readonly string[]): string {
  return texts.filter((text) => text !== '').join('\n\n');
}
