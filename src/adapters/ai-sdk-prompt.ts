import { type StoredTurn, unframed, unframedAnswer } from '../agent/index';
import { type AiSdkContent, type AiSdkMessage, aiSdkText } from '../chat/index';

/** What the user wrote last; undefined where that is no text. */
export function latestUserText(prompt: readonly AiSdkMessage[]): string | undefined {
  const message = prompt.findLast(({ role }) => role === 'user');
  const text = message && aiSdkText(message.content);
  return text?.trim() ? text : undefined;
}

/** The prompt with more at the end of its system message. Many models take one only, so none is added where there is one. */
export function withSystemText(prompt: readonly AiSdkMessage[], text: string): AiSdkMessage[] {
  const others = prompt.findIndex(({ role }) => role !== 'system');
  const last = (others < 0 ? prompt.length : others) - 1;
  const system = prompt[last];
  if (system === undefined) return [{ role: 'system', content: text }, ...prompt];
  return prompt.with(last, { ...system, content: `${system.content}\n\n${text}` });
}

/** The prompt with what users wrote as data: what looks like a frame of a turn is none any more. */
export function withoutFrames(prompt: readonly AiSdkMessage[]): AiSdkMessage[] {
  const plain = (part: AiSdkContent) => (part.type === 'text' ? { ...part, text: unframed(part.text ?? '') } : part);
  return prompt.map((message) =>
    message.role === 'user' && typeof message.content !== 'string' ? { ...message, content: message.content.map(plain) } : message,
  );
}

/**
 * The prompt with earlier answers as the model wrote them, with their profile: a model keeps to the form that it sees itself use. The
 * application knows the replies only.
 */
export function withOwnAnswers(prompt: readonly AiSdkMessage[], turns: readonly StoredTurn[]): AiSdkMessage[] {
  const written = new Map(
    turns.flatMap(({ reply, text, malformed }) => (malformed ? [] : [[reply.trim(), unframedAnswer(text)] as const])),
  );
  return prompt.map((message) => {
    if (message.role !== 'assistant' || typeof message.content === 'string' || !message.content.every(({ type }) => type === 'text'))
      return message;
    const text = written.get(aiSdkText(message.content).trim());
    return text === undefined ? message : { ...message, content: [{ type: 'text', text }] };
  });
}
