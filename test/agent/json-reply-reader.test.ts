import { describe, expect, it } from 'vitest';
import { JsonReplyReader } from '../../src/agent/json-reply-reader';
import { parseStructuredAnswer } from '../../src/agent/structured-answer';
import { Random } from '../../src/random';

describe('JsonReplyReader', () => {
  it('reads the top-level reply and no other, in pieces of any size, as JSON.parse does', () => {
    const random = new Random(31);
    const texts = ['reply', '"reply": "', '{', '}]', '\\', '\n', '\u0000', '😀', ':', ',', 'é', '\ud800', ''];
    const anyText = () => Array.from({ length: random.integer(5) }, () => random.pick(texts)).join('');
    for (let i = 0; i < 3000; i++) {
      const reply = anyText();
      const fields = random.shuffle([
        ['reply', reply],
        ['changes', [{ reply: anyText(), value: anyText() }, anyText(), [anyText()]]],
        [`x${anyText()}`, random.pick([anyText(), { reply: anyText() }, 3, null])],
      ]);
      let json = JSON.stringify(Object.fromEntries(fields), null, random.integer(3));
      if (random.chance(0.3))
        json = json.replace(/é|😀/gu, (s) =>
          [...s]
            .flatMap((c) => [...c.split('')])
            .map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
            .join(''),
        );
      const reader = new JsonReplyReader();
      const pieces: string[] = [];
      for (let at = 0; at < json.length; ) {
        const step = 1 + random.integer(9);
        pieces.push(reader.push(json.slice(at, at + step)));
        at += step;
      }
      expect(pieces.join('')).toBe(reply);
      for (const piece of pieces) expect(reply.includes('\ud800') || !/[\ud800-\udbff]$/.test(piece)).toBe(true);
    }
  });
});

describe('parseStructuredAnswer', () => {
  it.each([
    ['Here is the 5" answer: ', ''],
    ['<think>They are happy :]</think>\n', ''],
    ['[', ']'],
  ])('reads the reply whatever stands around the object: %s…%s', (before, after) => {
    const text = `${before}{"changes":[],"reply":"Hi there"}${after}`;
    expect(parseStructuredAnswer(text)).toEqual({ ok: true, changes: [], rejected: [], reply: 'Hi there' });
  });

  it('never throws, and saves the reply of what is cut off after it', () => {
    const random = new Random(32);
    const whole = JSON.stringify({ reply: 'How was "the" ward?', changes: [{ op: 'set', slot: 'age', value: 29, evidence: null }] });
    for (let i = 0; i < 10_000; i++) {
      let text = whole.slice(0, random.integer(whole.length + 1));
      for (let edits = random.integer(4); edits > 0; edits--) {
        const at = random.integer(text.length + 1);
        text =
          text.slice(0, at) +
          random.pick(['{', '"', '\\', '\\u12', ']', '```json\n', '\0', 'null', '9'.repeat(400), '[[[[']) +
          text.slice(at);
      }
      const answer = parseStructuredAnswer(text);
      if (answer.ok) expect(answer.reply.trim()).not.toBe('');
      else expect(answer.problem.message).not.toBe('');
    }
    expect(parseStructuredAnswer(whole.slice(0, -5))).toMatchObject({ ok: false, reply: 'How was "the" ward?' });
  });
});
