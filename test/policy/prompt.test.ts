import { afterAll, describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../src/chat/index';
import { microPolicy } from '../integration/micro-policy';

describe("a policy's prompt", () => {
  const policy = microPolicy({ seed: 1 });
  afterAll(() => policy.dispose());

  it('is of the messages as they are, though the same list was asked about before', () => {
    const messages: ChatMessage[] = [{ role: 'user', content: 'I like hiking.' }];
    expect(policy.canRead({ messages })).toBe(true);
    const first = policy.encodePrompt(messages);
    messages.push({ role: 'assistant', content: 'Where?' }, { role: 'user', content: 'In Norway.' });
    const longer = policy.encodePrompt(messages);
    expect(longer.length).toBeGreaterThan(first.length);
    expect(longer).toEqual(policy.encodePrompt([...messages]));
    messages[2] = { role: 'user', content: 'In Peru.' };
    expect(policy.encodePrompt(messages)).toEqual(policy.encodePrompt([...messages]));
    expect(policy.encodePrompt(messages)).not.toEqual(longer);
    messages[0] = { ...messages[0]!, content: 'I like rowing.' };
    expect(policy.encodePrompt(messages)).toEqual(policy.encodePrompt([...messages]));
    (messages[2] as { content: string }).content = 'In Chile.';
    const prompt = policy.encodePrompt(messages);
    expect(prompt).toEqual(policy.encodePrompt([...messages]));
    // it is the caller's own
    prompt.fill(0);
    expect(policy.encodePrompt(messages)).toEqual(policy.encodePrompt([...messages]));
  });
});
