import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PersonalizedAgent, transcriptPrompt } from '../../src/agent/index';
import type { ChatPart } from '../../src/chat/index';
import type { LocalPolicy } from '../../src/policy/index';
import { formatTurn, parseTurn } from '../../src/profile/index';
import { SFTTrainer } from '../../src/training/index';
import { instruction, microPolicy, schema } from './micro-policy';

const said = ['Hello', 'I love hiking.', 'And cooking.'];
const answers = [
  formatTurn(schema.empty(), 'Hello! What do you do for fun?'),
  formatTurn(schema.profile({ interests: ['hiking'] }), 'Nice. Where do you go?'),
  formatTurn(schema.profile({ interests: ['hiking', 'cooking'] }), 'What do you cook?'),
];
const prompt = [
  { role: 'system' as const, content: instruction },
  { role: 'user' as const, content: said[0]! },
];

let policy: LocalPolicy;
beforeAll(async () => {
  policy = microPolicy({ seed: 1 });
  const dialogue = said.flatMap((content, turn) => [
    { role: 'user' as const, content },
    { role: 'assistant' as const, content: answers[turn]! },
  ]);
  const messages = [{ role: 'system' as const, content: instruction }, ...dialogue];
  await new SFTTrainer({ policy, examples: [{ messages }], epochs: 100, learningRate: 1e-2 }).train();
});
afterAll(() => policy.dispose());

function agent() {
  return new PersonalizedAgent({ schema, model: policy.asChatModel({ seed: 0, pieceMs: 0 }), prompt: transcriptPrompt({ instruction }) });
}

async function collect(parts: AsyncIterable<ChatPart>) {
  const texts: string[] = [];
  for await (const part of parts) {
    if (part.type === 'finish') return { texts, finish: part };
    texts.push(part.text);
  }
  throw new Error('no finish part');
}

describe('a trained policy as the model of an agent', () => {
  it('answers over three turns as it was trained to, and the agent learns the profile', async () => {
    const talking = agent();
    const turns = [];
    for (const message of said) turns.push(await talking.respond({ userId: 'u', message }));
    expect(turns.map(({ reply }) => reply)).toEqual(['Hello! What do you do for fun?', 'Nice. Where do you go?', 'What do you cook?']);
    expect(turns.map(({ profile }) => profile.values.interests)).toEqual([[], ['hiking'], ['hiking', 'cooking']]);
    expect(turns.every(({ problem }) => problem === undefined)).toBe(true);
    expect(turns[1]!.changes[0]).toMatchObject({ slot: 'interests', value: 'hiking' });
    const { inputTokens, outputTokens } = turns[2]!.usage;
    expect([inputTokens, outputTokens]).toEqual([
      policy.encodePrompt([
        prompt[0]!,
        ...said.flatMap((content, turn) => [
          { role: 'user' as const, content },
          ...(turn < 2 ? [{ role: 'assistant' as const, content: answers[turn]! }] : []),
        ]),
      ]).length,
      policy.encodeAssistant(answers[2]!).length,
    ]);
  });

  it('streams the reply alone, in pieces, then what it changed', async () => {
    const talking = agent();
    await talking.respond({ userId: 'u', message: said[0]! });
    const parts = [];
    for await (const part of talking.stream({ userId: 'u', message: said[1]! })) parts.push(part);
    const pieces = parts.flatMap((part) => (part.type === 'reply' ? [part.text] : []));
    expect(pieces.join('')).toBe('Nice. Where do you go?');
    expect(pieces.length).toBeGreaterThan(1);
    expect(parts.slice(-2).map(({ type }) => type)).toEqual(['profile', 'finish']);
    const finish = parts.at(-1)!;
    expect(finish.type === 'finish' && finish.profile.values.interests).toEqual(['hiking']);
  });

  it('a turn that is aborted in the middle of its stream leaves no trace, and the next one goes well', async () => {
    const talking = agent();
    const controller = new AbortController();
    const broken = (async () => {
      for await (const part of talking.stream({ userId: 'u', message: said[0]!, signal: controller.signal }))
        if (part.type === 'reply') controller.abort();
    })();
    await expect(broken).rejects.toMatchObject({ code: 'aborted' });
    expect(await talking.export('u')).toBeUndefined();
    expect((await talking.respond({ userId: 'u', message: said[0]! })).reply).toBe('Hello! What do you do for fun?');
  });

  it('a reader who leaves the stream stops the sampling', async () => {
    const model = policy.asChatModel();
    const before = policy.sampling.tokens;
    for await (const part of model.stream({ messages: prompt, temperature: 0, maxTokens: 48 })) if (part.type === 'text') break;
    await model.generate({ messages: prompt, temperature: 0, maxTokens: 1 }); // its step is after the one in which the stream is left
    expect(policy.sampling.running).toBe(0);
    expect(policy.sampling.tokens - before).toBeLessThan(policy.encodeAssistant(answers[0]!).length);
  });
});

describe('a policy as a chat model', () => {
  const model = () => policy.asChatModel();
  const request = { messages: prompt, temperature: 0 };

  it('gives the same text streamed and whole, and counts its tokens', async () => {
    const whole = await model().generate(request);
    const { texts, finish } = await collect(model().stream(request));
    expect(whole.text).toBe(answers[0]);
    expect(texts.join('')).toBe(whole.text);
    const inputTokens = policy.encodePrompt(prompt).length;
    const usage = { inputTokens, outputTokens: policy.encodeAssistant(answers[0]!).length };
    expect(whole).toMatchObject({ finishReason: 'stop', usage });
    // the second time all of the prompt is known but for the last token, which is always read
    expect(finish).toEqual({ type: 'finish', ...whole, usage: { ...usage, cachedInputTokens: inputTokens - 1 } });
  });

  it('ends before the first stop string, which nobody gets to see a part of', async () => {
    const stop = ['</response>', 'What do'];
    const { texts, finish } = await collect(model().stream({ ...request, stop }));
    const expected = answers[0]!.slice(0, answers[0]!.indexOf('What do'));
    expect(texts.join('')).toBe(expected);
    expect(finish.text).toBe(expected);
    expect(finish.finishReason).toBe('stop');
    expect((await model().generate({ ...request, stop })).text).toBe(expected);
    expect((await model().generate({ ...request, stop: ['never said'] })).text).toBe(answers[0]);
  });

  it('says when the token limit cut it off', async () => {
    const { text, finishReason, usage } = await model().generate({ ...request, maxTokens: 4 });
    expect(finishReason).toBe('length');
    expect(usage.outputTokens).toBe(4);
    expect(answers[0]!.startsWith(text)).toBe(true);
    expect(parseTurn(schema, text).ok).toBe(false);
  });

  it('samples the same text for the same seed, and others for others', async () => {
    const texts = async (seed: number) => (await model().generate({ messages: prompt, temperature: 3, seed, maxTokens: 24 })).text;
    expect(await texts(1)).toBe(await texts(1));
    expect(await texts(1)).not.toBe(await texts(2));
  });

  it('keeps its deadline, and can be asked again', async () => {
    const late = model().generate({ ...request, temperature: 50, maxTokens: 400, timeoutMs: 5 });
    await expect(late).rejects.toMatchObject({ code: 'timeout' });
    expect((await model().generate({ ...request, timeoutMs: 30_000 })).text).toBe(answers[0]);
  });

  it('is aborted by its signal while it waits and while it writes', async () => {
    await expect(model().generate({ ...request, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
    const controller = new AbortController();
    const broken = (async () => {
      for await (const _ of model().stream({ ...request, signal: controller.signal })) controller.abort();
    })();
    await expect(broken).rejects.toMatchObject({ code: 'aborted' });
    expect((await model().generate(request)).text).toBe(answers[0]);
  });

  it('serves several conversations at once', async () => {
    const texts = await Promise.all(Array.from({ length: 4 }, () => model().generate(request)));
    expect(texts.map(({ text }) => text)).toEqual(Array(4).fill(answers[0]));
  });
});
