import type { ChatMessage } from '../chat/index';
import { formatTurn } from '../profile/index';
import type { EpisodeTurn } from './episode';

/**
 * What becomes of the policy's earlier outputs in what it reads next.
 * - `keep`: they stay word for word (and token for token), malformed ones too. Each prompt begins with the one before, so that a policy
 *   can reuse what it computed.
 * - `strip`: only the latest keeps its profile block; of the others the reply remains. Shorter prompts, as in the paper's reference code.
 * - `latest`: only the last exchange is there, with the profile in force: the profile is all the memory that the policy has. Prompts do
 *   not grow, and a fact that is not written down again is gone. After a malformed output the last valid profile stands in its place.
 */
export type History = 'keep' | 'strip' | 'latest';

export const histories: readonly History[] = ['keep', 'strip', 'latest'];

type PastTurn = Pick<EpisodeTurn, 'userMessage' | 'action' | 'reply' | 'profile' | 'problem'>;

/** The messages that the policy reads: the instruction, what was said, and its own outputs by `history`. */
export function transcript(instruction: string, turns: readonly PastTurn[], userMessage: string, history: History): ChatMessage[] {
  const messages: ChatMessage[] = [{ role: 'system', content: instruction }];
  const remembered = history === 'latest' ? turns.slice(-1) : turns;
  for (const [index, turn] of remembered.entries()) {
    messages.push({ role: 'user', content: turn.userMessage }, ownMessage(turn, history, index === remembered.length - 1));
  }
  messages.push({ role: 'user', content: userMessage });
  return messages;
}

function ownMessage(turn: PastTurn, history: History, last: boolean): ChatMessage {
  if (history === 'strip' && !last) return { role: 'assistant', content: turn.reply };
  if (history === 'latest' && turn.problem) return { role: 'assistant', content: formatTurn(turn.profile, turn.reply) };
  const { text, tokens } = turn.action;
  return { role: 'assistant', content: text, ...(tokens && { tokens: Array.from(tokens.completion) }) };
}
