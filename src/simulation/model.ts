import type { ChatMessage, ChatModel } from '../chat/index';
import { checkTimeout } from '../deadline';
import { checkKnown, RlpaError } from '../errors';
import type { ProfileItem, ProfileSchema } from '../profile/index';
import type { UserBehaviour, UserContext } from './user-behaviour';

export interface ModelBehaviourOptions {
  readonly model: ChatModel;
  /** Default 0.8. */
  readonly temperature?: number | undefined;
  /** Most tokens of one message; default 120. */
  readonly maxTokens?: number | undefined;
  /** Deadline of one call, in milliseconds; the model's own by default. */
  readonly timeoutMs?: number | undefined;
}

/**
 * A user played by a language model under the paper's rules: nothing personal at first, at most its budget of the profile a message,
 * short colloquial messages, no new topics, open dislike of what clashes with its profile, of repetition and of flattery.
 * For that model the simulated user is the `assistant` and the policy is the `user`.
 *
 * @throws (from `reply`) the model's errors, and `model-failed` for an empty message; `invalid-option` for a deadline that is none.
 * @example
 * import { modelBehaviour, openAIChat, SimulatedUser } from 'rlpa';
 * const user = new SimulatedUser({ behaviour: modelBehaviour({ model: openAIChat({ model: 'gpt-4o-mini' }) }) });
 */
export function modelBehaviour(options: ModelBehaviourOptions): UserBehaviour {
  checkKnown('modelBehaviour', options, { model: true, temperature: true, maxTokens: true, timeoutMs: true });
  const { model, temperature = 0.8, maxTokens = 120, timeoutMs } = options;
  if (timeoutMs !== undefined) checkTimeout('modelBehaviour', timeoutMs);
  return {
    name: `model (${model.name})`,
    async reply(context) {
      const messages: ChatMessage[] = [
        { role: 'system', content: instruction(context) },
        // Chat templates want a user's message first, and the simulated user speaks first.
        { role: 'user', content: '(You are connected. Write your first message.)' },
        ...context.dialogue.map(({ role, content }): ChatMessage => ({ role: role === 'user' ? 'assistant' : 'user', content })),
      ];
      const { text } = await model.generate({
        messages,
        temperature,
        maxTokens,
        timeoutMs,
        seed: context.random.uint32(),
        signal: context.signal,
      });
      const utterance = withoutStageSetting(text);
      if (utterance === '') {
        throw new RlpaError('model-failed', `${model.name} wrote an empty message as user "${context.persona.id}".`, { found: text });
      }
      return { text: utterance };
    },
  };
}

function instruction({ golden, turn, budget, disclosed, rejected, persona }: UserContext): string {
  const schema = golden.schema;
  const told = golden.items().filter((item) => disclosed.has(item.key));
  const untold = golden.items().filter((item) => !disclosed.has(item.key));
  const lines = [
    'You play a person who chats with an assistant. Write what this person writes next, and nothing else: no name, no quotation marks, no stage directions.',
    'Never say that you are a model, that you play someone, or that there is a profile.',
    '',
    'What you have told about yourself so far:',
    ...listed(told, schema),
    '',
    'What is true of you and not told yet:',
    ...listed(untold, schema),
    '',
    'Rules:',
    '- One or two short, colloquial sentences, as people type in a chat.',
    '- Answer what the assistant said or asked. Bring up no new topics of your own.',
    '- Tell about yourself little by little, and only what fits the conversation. Invent nothing that is not listed.',
    '- If the assistant assumes, suggests or praises what clashes with who you are, say openly that it is not for you.',
    '- If the assistant repeats itself or flatters you, say openly that you do not like it.',
  ];
  if (persona.change?.turn === turn) lines.push('- Something about you has just changed: say which of the untold facts is new.');
  lines.push(
    budget === 0
      ? '- This is your first message: a short, impersonal greeting. Tell nothing about yourself.'
      : `- This message may tell at most ${budget} of the untold facts.`,
  );
  for (const draft of rejected) lines.push(`- This draft told too much; write another one that tells less: ${JSON.stringify(draft)}`);
  return lines.join('\n');
}

function listed(items: readonly ProfileItem[], schema: ProfileSchema): string[] {
  return items.length === 0 ? ['- nothing'] : items.map((item) => `- ${schema.slots[item.slot]?.label ?? item.slot}: ${item.text}`);
}

/** Models like to put their name before their line, to set it in quotation marks, and to write the other side's answer as well. */
function withoutStageSetting(text: string): string {
  const own = text
    .trim()
    .replace(/^\**(?:user|me|human|person)\s*:\**\s*/i, '')
    .split(/\n\s*\**(?:assistant|user|human|ai|bot)\s*:/i)[0]!
    .trim();
  return own.replace(/^["“](.*)["”]$/s, '$1').trim();
}
