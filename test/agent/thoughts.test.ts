import { describe, expect, it } from 'vitest';
import { PersonalizedAgent } from '../../src/agent/index';
import { ThoughtFilter, withoutThoughts } from '../../src/agent/thoughts';
import { scriptedChatModel } from '../../src/testing/index';
import { collect, schema, turnJson, turnText } from './fixtures';

const thought = '<think>\nA nurse? {"changes": []} <profile>\n- Age: 99\n</profile>\n<response>No.</response>\n</think>\n\n';
const change = { op: 'set', slot: 'occupation', value: 'nurse', evidence: null };

describe('what a model thinks aloud before it answers', () => {
  it.each([
    ['one-call', 'text', [turnText({ occupation: 'nurse' }, 'Hi there')]],
    ['one-call', 'json', [turnJson([change], 'Hi there')]],
    ['after-reply', 'text', ['Hi there', '<profile>\n- Occupation: nurse\n</profile>']],
    ['after-reply', 'json', ['Hi there', JSON.stringify({ changes: [change] })]],
  ] as const)('is neither shown nor stored nor read (%s, %s)', async (mode, form, answers) => {
    for (const chunkSize of [1, 7, 1000]) {
      const model = scriptedChatModel(
        answers.map((answer) => thought + answer),
        { structuredOutput: form === 'json', chunkSize },
      );
      const agent = new PersonalizedAgent({ schema, model, mode });
      const parts = await collect(agent.stream({ userId: 'u1', message: 'I am a nurse.' }));
      await agent.settled();
      const shown = parts.flatMap((part) => (part.type === 'reply' ? [part.text] : [])).join('');
      expect(shown).toBe('Hi there');
      expect(parts.at(-1)).toMatchObject({ reply: 'Hi there' });
      expect((parts.at(-1) as { problem?: unknown }).problem).toBeUndefined();
      expect((await agent.profile('u1')).toJSON()).toEqual({ occupation: 'nurse' });
      expect(JSON.stringify(await agent.export('u1'))).not.toMatch(/think|No\./);
      expect(model.requests).toHaveLength(answers.length);
    }
  });

  it.each([
    ['<think>a</think>b', 'b'],
    [' \n<Thinking>a</THINKING>\n\n b ', 'b '],
    ['<think>a<response>b', '<response>b'],
    ['<think>a<profile>b<response>c', '<profile>b<response>c'],
    ['<reasoning>a</think></reasoning>b', 'b'],
    ['<think>a', ''],
    ['<think>a</thin', ''],
    ['<thin', '<thin'],
    ['<thinker>b', '<thinker>b'],
    ['b <think>a</think>', 'b <think>a</think>'],
    ['<think></think><think>a</think>', '<think>a</think>'],
    ['', ''],
  ])('of %j leaves %j, however it comes', (text, answer) => {
    expect(withoutThoughts(text)).toBe(answer);
    const filter = new ThoughtFilter();
    expect([...text].map((character) => filter.push(character)).join('') + filter.end()).toBe(answer);
  });
});
