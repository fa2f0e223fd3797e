import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import { LocalPolicy } from '../../src/policy/index';
import { Graph } from '../../src/tensor/index';
import { ChatTemplate, encodeChat } from '../../src/transformer/index';
import { microConfig, microPolicy, microTokenizer } from '../integration/micro-policy';

const messages = [{ role: 'user' as const, content: 'Hello' }];

describe('how a policy is to sample', () => {
  let policy: LocalPolicy;
  beforeAll(() => {
    policy = microPolicy({ maxNewTokens: 8 });
  });
  afterAll(() => policy.dispose());

  it.each([
    ['temperature', { temperature: -1 }],
    ['temperature', { temperature: Number.NaN }],
    ['limits.topP', { limits: { topP: 0 } }],
    ['limits.topP', { limits: { topP: 1.5 } }],
    ['limits.topK', { limits: { topK: 2.5 } }],
    ['maxNewTokens', { maxNewTokens: 1.5 }],
  ])('is refused where the %s is none: %j', async (option, sampling) => {
    const refused = { code: 'invalid-option', details: { option } };
    const prompt = policy.encodePrompt(messages);
    await expect(policy.sample([{ owner: 'a', prompt, seed: 1 }], sampling)).rejects.toMatchObject(refused);
    await expect(policy.sampleAlongside({ prompt, seed: 1, ...sampling })).rejects.toMatchObject(refused);
  });

  it('is refused in a call of act, and in one of the chat model', async () => {
    const refused = { code: 'invalid-option' };
    await expect(policy.act([{ dialogueId: 'a', messages, seed: 1 }], { temperature: Number.NaN })).rejects.toMatchObject(refused);
    await expect(policy.asChatModel().generate({ messages, topP: 0 })).rejects.toMatchObject(refused);
    expect(() => policy.asChatModel({ temperature: -1 })).toThrow(/temperature/);
  });

  it('is refused in a policy’s own options, a layout that there is not among them', () => {
    expect(() => microPolicy({ layout: 'diagonal' as 'right' })).toThrow(/'layout': expected one of right, left, packed, found 'diagonal'/);
    expect(() => microPolicy({ temperature: 0 })).toThrow(/'temperature'/);
  });

  it('is what the chat model was made with, unless a request says otherwise', async () => {
    const write = (model: ReturnType<LocalPolicy['asChatModel']>, temperature?: number) =>
      Promise.all([1, 2, 3].map(async (seed) => (await model.generate({ messages, seed, temperature })).text));
    const likeliest = await write(policy.asChatModel({ temperature: 0 }));
    expect(new Set(likeliest).size).toBe(1);
    expect(await write(policy.asChatModel({ temperature: 0 }), 1)).toEqual(await write(policy.asChatModel()));
    expect(await write(policy.asChatModel())).not.toEqual(likeliest);
  });
});

it('A state can be read where the prompt leaves room for the longest answer', async () => {
  const tokenizer = microTokenizer();
  const prompt = encodeChat(tokenizer, ChatTemplate.of(tokenizer), messages, { addGenerationPrompt: true });
  for (const [room, canRead] of [
    [8, true],
    [7, false],
  ] as const) {
    const config = microConfig({ maxPositions: prompt.length + room });
    const policy = new LocalPolicy(cpuDevice({ threads: 1 }), { config, tokenizer }, { maxNewTokens: 8 });
    expect(policy.canRead({ messages })).toBe(canRead);
    await policy.dispose();
  }
});

it('A device that was given to a policy ends with it when the folder is none', async () => {
  const device = cpuDevice({ threads: 1 });
  const graph = new Graph();
  graph.output('one', graph.input('one', [1]));
  const run = async () => device.run(await device.compile(graph), { inputs: { one: Float32Array.of(1) } });
  await run();
  await expect(LocalPolicy.load('/there/is/no/such/folder', { device })).rejects.toMatchObject({ code: 'invalid-file' });
  await expect(run()).rejects.toThrow();
});
