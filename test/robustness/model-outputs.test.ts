import { describe, expect, it } from 'vitest';
import { memoryStore, PersonalizedAgent, type TurnResult } from '../../src/agent/index';
import { parseStructuredAnswer } from '../../src/agent/structured-answer';
import type { ChatModel } from '../../src/chat/index';
import { parseTurn, TurnStream } from '../../src/profile/index';
import { Random } from '../../src/random';
import { brokenOutput, chunks, type GeneratedOutput, kinds, maxLength, schema } from './broken-outputs';

const count = 10_000;
const usage = { inputTokens: 1, outputTokens: 1 };

/** A model that writes this text, in these pieces. */
function writes(text: string, pieces: readonly string[], structuredOutput: boolean): ChatModel {
  return {
    name: 'broken',
    structuredOutput,
    generate: async () => ({ text, usage, finishReason: 'stop' }),
    async *stream() {
      for (const piece of pieces) yield { type: 'text', text: piece };
      yield { type: 'finish', text, usage, finishReason: 'stop' };
    },
  };
}

/** Agents that differ in nothing but what their model writes: ids, clock and what they know are the same. */
async function agentWith({ form, text }: GeneratedOutput, pieces: readonly string[]) {
  let id = 100;
  const store = memoryStore();
  await store.save(known, 0);
  return new PersonalizedAgent({
    schema,
    store,
    model: writes(text, pieces, form === 'json'),
    generateId: () => String(++id),
    now: () => new Date(0),
  });
}

const message = 'I love jazz and hiking, I am a nurse of 42 from Oslo.';

/** A record with two values. */
const known = await (async () => {
  const agent = new PersonalizedAgent({ schema, model: writes('', [], false), now: () => new Date(0) });
  await agent.edit('u', [
    { op: 'set', slot: 'occupation', value: 'teacher' },
    { op: 'add', slot: 'interests', value: 'tea' },
  ]);
  return (await agent.export('u'))!;
})();

function comparable({ messageId, reply, profile, changes, rejected, problem }: TurnResult): string {
  return JSON.stringify({ messageId, reply, profile: profile.toJSON(), changes, rejected, problem });
}

/** What is wrong with a stored value, by the types as the test states them and not by the schema's own reading. */
function violation(slot: string, value: unknown): string | undefined {
  const kind = kinds[slot as keyof typeof kinds];
  if (!kind?.safeParse(value).success) return 'not of its type';
  if (slot === 'health') return 'sensitive';
  if (typeof value !== 'string') return undefined;
  if (value.trim() === '' || value.length > maxLength) return 'length';
  return broken.test(value) ? 'encoding' : undefined;
}

const broken = /\p{Surrogate}|\0/u;

const tags = ['<profile>', '</profile>', '<response>', '</response>'];

/**
 * The reply of the text form, read once more: what stands between a `<response>` and the next tag, or the end but for a tag that has begun;
 * the first that is not blank.
 */
function writtenReply(text: string): string | undefined {
  for (const [, after = '', end] of text.matchAll(/<response>([\s\S]*?)(?=(<\/?(?:profile|response)>|$))/g)) {
    const begun = end === '' ? /<\\*(\/?[a-z]*)$/.exec(after) : null;
    const isTag = begun && tags.some((tag) => tag.slice(1).startsWith(begun[1]!));
    const reply = (isTag ? after.slice(0, begun.index) : after).replace(/<\\(\\*\/?(?:profile|response)>)/g, '<$1').trim();
    if (reply !== '') return reply;
  }
  return undefined;
}

describe(`${count} outputs of models that go wrong`, () => {
  const random = new Random(51);
  const outputs = Array.from({ length: count }, (_, index) => brokenOutput(random.split('output', index)));

  it('are read without a throw, whole as in pieces', () => {
    for (const [index, { form, text }] of outputs.entries()) {
      if (form === 'json') {
        const answer = parseStructuredAnswer(text);
        if (answer.ok) expect(answer.reply.trim()).not.toBe('');
        else expect(answer.problem.message).not.toBe('');
        continue;
      }
      const stream = new TurnStream(schema);
      let shown = '';
      for (const piece of chunks(text, random.split('codec', index), 60)) shown += stream.push(piece);
      const turn = parseTurn(schema, text);
      expect(stream.end()).toEqual(turn);
      if (text.includes('<response>')) expect(shown).toBe(turn.reply ?? '');
      else expect(shown).toBe('');
    }
  });

  it('give the same turn streamed as whole, with the reply that there is and nothing stored that its slot does not take', {
    timeout: 200_000,
  }, async () => {
    const counts = { replies: 0, malformed: 0, changed: 0 };
    const wrong: unknown[] = [];
    for (const [index, output] of outputs.entries()) {
      const { form, text, reply, begun } = output;
      const check = (isRight: boolean, what: string, ...found: unknown[]) => {
        if (!isRight) wrong.push([what, ...found, text.slice(0, 400)]);
      };
      const pieces = chunks(text, random.split('pieces', index), 12);
      const [answering, streaming] = [await agentWith(output, pieces), await agentWith(output, pieces)];
      const turn = await answering.respond({ userId: 'u', message });
      let shown = '';
      let finished: TurnResult | undefined;
      for await (const part of streaming.stream({ userId: 'u', message })) {
        if (part.type === 'reply') shown += part.text;
        if (part.type === 'finish') {
          const { type: _, ...result } = part;
          finished = result as unknown as TurnResult;
        }
      }
      const result = turn as unknown as TurnResult;
      check(comparable(finished!) === comparable(result), 'streamed and whole differ', comparable(finished!), comparable(result));
      check(shown === turn.reply, 'shown and returned replies differ', shown, turn.reply);
      check(!broken.test(turn.reply), 'the reply is not well-formed', turn.reply);
      for (const { slot, value } of [...(await answering.history('u')), ...turn.profile.items()]) {
        const what = violation(slot, value);
        check(what === undefined, `stored: ${what}`, slot, value);
      }
      check(turn.reply !== '' || turn.problem !== undefined, 'no reply and no problem');
      check(turn.problem === undefined || turn.profile.size === 2, 'a malformed answer changed the profile', turn.profile.toJSON());
      if (begun !== undefined) check(turn.reply !== '' && begun.startsWith(turn.reply), 'not the reply that had begun', turn.reply, begun);
      if (reply !== undefined) check(turn.reply === reply, 'another reply than was written', turn.reply, reply);
      const written =
        form === 'text'
          ? writtenReply(
              text
                .replace(/[\ud800-\udbff]$/, '')
                .replace(/\p{Surrogate}/gu, '\ufffd')
                .replaceAll('\0', ''),
            )
          : undefined;
      if (written) check(turn.reply === written, 'another reply than was written', turn.reply, written);
      counts.replies += Number(turn.reply !== '');
      counts.malformed += Number(turn.problem !== undefined);
      counts.changed += Number(turn.changes.length > 0);
    }
    expect(wrong.slice(0, 5)).toEqual([]);
    // The generator must not go easy on any of it.
    for (const share of Object.values(counts)) expect(share).toBeGreaterThan(count / 10);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('outputs without an end', () => {
  const deep = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);
  it.each([
    [
      'a value nested 50,000 deep',
      `{"changes": [{"op": "add", "slot": "anything", "value": ${deep('[', ']', 50_000)}}], "reply": "Hi"}`,
      'Hi',
    ],
    ['changes nested 50,000 deep', `{"reply": "Hi", "changes": ${deep('[', ']', 50_000)}}`, 'Hi'],
    [
      'an object nested 50,000 deep',
      `{"reply": "Hi", "changes": [{"op": "set", "slot": "home", "value": ${deep('{"city":', '}', 50_000).replace('}', '1}')}}]}`,
      'Hi',
    ],
    ['50,000 changes', JSON.stringify({ changes: Array(50_000).fill({ op: 'add', slot: 'interests', value: 'jazz' }), reply: 'Hi' }), 'Hi'],
    ['a reply of two million characters', JSON.stringify({ changes: [], reply: 'ha '.repeat(666_667) }), 'ha '.repeat(666_667)],
    ['an open string without an end', `{"changes": [], "reply": "${'ha '.repeat(300_000)}`, 'ha '.repeat(300_000)],
    ['escapes without an end', `{"changes": [], "reply": "Hi${'\\u0020'.repeat(100_000)}"}`, `Hi${' '.repeat(100_000)}`],
  ])('%s: the reply is given', async (_, text, reply) => {
    for (const pieces of [[text], text.match(/[\s\S]{1,100000}/g)!]) {
      const agent = await agentWith({ form: 'json', text }, pieces);
      const turn = await agent.respond({ userId: 'u', message });
      expect(turn.reply).toBe(reply);
      for (const { slot, value } of turn.profile.items()) expect(violation(slot, value)).toBeUndefined();
    }
  });

  it.each(['<profile>', '- Interests: jazz\n', '<response>', '</response>', 'ha ', '<', '<\\', '\n', ' '])(
    '%j again and again',
    async (unit) => {
      for (const text of [unit.repeat(100_000), `<profile>\n${unit.repeat(50_000)}</profile>\n<response>Hi ${unit.repeat(50_000)}`]) {
        const agent = await agentWith({ form: 'text', text }, [text]);
        const turn = await agent.respond({ userId: 'u', message });
        for (const { slot, value } of turn.profile.items()) expect(violation(slot, value)).toBeUndefined();
        if (text.includes('Hi')) expect(turn.reply.slice(0, 2)).toBe('Hi');
      }
    },
  );
});
