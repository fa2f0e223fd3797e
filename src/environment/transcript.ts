import type { ChatMessage } from '../chat/index';
import type { PolicyAction } from '../policy/policy';
import type { EpisodeTurn } from './episode';

/**
 * What becomes of the policy's earlier outputs in what it reads next.
 * - `keep`: they stay word for word (and token for token), malformed ones too. Each prompt begins with the one before, so that a policy
 *   can reuse what it computed.
 * - `strip`: only the latest keeps its profile block; of the others the reply remains. Shorter prompts, as in the paper's reference code.
 */
export type History = 'keep' | 'strip';

/** The messages that the policy reads: the instruction, what was said, and its own outputs by `history`. */
export function transcript(
  instruction: string,
  turns: readonly Pick<EpisodeTurn, 'userMessage' | 'action' | 'reply'>[],
  userMessage: string,
  history: History,
): ChatMessage[] {
  const messages: ChatMessage[] = [{ role: 'system', content: instruction }];
  for (const [index, turn] of turns.entries()) {
    const whole = history === 'keep' || index === turns.length - 1;
    messages.push({ role: 'user', content: turn.userMessage }, whole ? ownOutput(turn.action) : { role: 'assistant', content: turn.reply });
  }
  messages.push({ role: 'user', content: userMessage });
  return messages;
}

function ownOutput({ text, tokens }: PolicyAction): ChatMessage {
  return { role: 'assistant', content: text, ...(tokens && { tokens: Array.from(tokens.completion) }) };
}
