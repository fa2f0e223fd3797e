import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type PersonalizedOptions, personalized } from '../../src/adapters/index';
import { type InferenceResult, memoryStore, PersonalizedAgent, type ProfileStore, transcriptPrompt } from '../../src/agent/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';
import { gate } from '../agent/fixtures';
import { type OpenAIServer, type ServedRequest, startOpenAIServer } from '../chat/openai-server';
import { versions } from './versions';

const slots = { occupation: slot.one(z.string()), interests: slot.many(z.string()) };
const schema = ProfileSchema.define(slots);
const reply = 'How was the shift? I hope that it was calm.';
const ask = (content: string) => ({ messages: [{ role: 'user' as const, content }] });
const asksForProfile = ({ body }: ServedRequest) => body.messages.at(-1)!.content.includes('The user has got your reply');
const profileOf = (occupation: string) => `<profile>\n- occupation: ${occupation}\n</profile>`;

let server: OpenAIServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function known(store: ProfileStore) {
  return (await new PersonalizedAgent({ schema, store, model: scriptedChatModel([]) }).profile('u1')).toJSON();
}

describe.each(versions)('personalized after the reply, around a provider of $name', ({ open }) => {
  async function serve(
    answer: (request: ServedRequest) => string | Promise<string>,
    options: Partial<PersonalizedOptions<typeof slots>> = {},
  ) {
    server = await startOpenAIServer({ answer });
    const store = memoryStore();
    const middleware = () => personalized({ schema, store, userId: 'u1', mode: 'after-reply', ...options });
    return { sdk: open(server.url), store, middleware };
  }
  const nurse = (request: ServedRequest) => (asksForProfile(request) ? profileOf('nurse') : reply);

  it('gives the reply as the model wrote it, and infers the profile by a call that nobody waits for', async () => {
    const { opened, open: letInfer } = gate();
    const inferred: InferenceResult<typeof slots>[] = [];
    const { sdk, store, middleware } = await serve(
      async (request) => {
        if (asksForProfile(request)) await opened;
        return nurse(request);
      },
      { onInferred: (result) => inferred.push(result) },
    );
    const made = middleware();
    const { text, providerMetadata } = await sdk.generateText(made, ask('I am a nurse.'));
    expect(text).toBe(reply);
    expect(providerMetadata!.rlpa).toMatchObject({ messageId: expect.any(String), profile: {}, changes: [] });
    expect(server!.requests[0]!.body.messages[0]!.content).not.toContain('<profile>');
    letInfer();
    await made.settled();
    expect(await known(store)).toEqual({ occupation: 'nurse' });
    expect(inferred).toMatchObject([{ userId: 'u1', changes: [{ value: 'nurse', source: 'stated', evidence: { text: 'nurse' } }] }]);
    expect(inferred[0]!.messageId).toBe((providerMetadata!.rlpa as { messageId: string }).messageId);
  });

  it('streams the reply in pieces, and has begun to infer when the stream ends', async () => {
    const { sdk, store, middleware } = await serve(nurse);
    const made = middleware();
    const { textStream, finishReason } = sdk.streamText(made, ask('I am a nurse.'));
    const pieces: string[] = [];
    for await (const piece of textStream) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join('')).toBe(reply);
    expect(await finishReason).toBe('stop');
    await made.settled();
    expect(await known(store)).toEqual({ occupation: 'nurse' });
    expect(server!.requests).toHaveLength(2);
  });

  it("lets the next reply know it, among the application's own messages", async () => {
    const { sdk, middleware } = await serve(nurse);
    const made = middleware();
    await sdk.generateText(made, ask('I am a nurse.'));
    await made.settled();
    const messages = [...ask('I am a nurse.').messages, { role: 'assistant' as const, content: reply }, ...ask('Long.').messages];
    await sdk.generateText(middleware(), { system: 'You work for a book shop.', messages });
    const [system, ...rest] = server!.requests[2]!.body.messages;
    expect(system!.content).toMatch(/^You work for a book shop\.\n\n/);
    expect(system!.content).toContain('"occupation": "nurse"');
    expect(rest.map(({ content }) => content)).toEqual(['I am a nurse.', reply, 'Long.']);
    await made.settled();
  });

  it('learns from the messages of a user in their order, though each request has a middleware of its own', async () => {
    const first = gate();
    const { sdk, store, middleware } = await serve(async (request) => {
      if (!asksForProfile(request)) return reply;
      const said = request.body.messages.findLast(({ content }) => content.startsWith('I am'))!.content;
      if (said.includes('nurse')) await first.opened;
      return profileOf(said.includes('nurse') ? 'nurse' : 'teacher');
    });
    const last = middleware();
    await sdk.generateText(middleware(), ask('I am a nurse.'));
    await sdk.generateText(last, ask('I am a teacher now.'));
    first.open();
    await last.settled();
    expect(await known(store)).toEqual({ occupation: 'teacher' });
  });

  it('tells of an inference that failed, and keeps the turn', async () => {
    const problems: unknown[] = [];
    const { sdk, store, middleware } = await serve((request) => (asksForProfile(request) ? 'no idea' : reply), {
      onInferred: ({ problem }) => problems.push(problem?.code),
    });
    const made = middleware();
    await sdk.generateText(made, ask('I am a nurse.'));
    await made.settled();
    expect(problems).toEqual(['no-profile']);
    expect((await store.load('u1'))!.turns).toMatchObject([{ message: 'I am a nurse.', reply }]);
  });

  it('infers nothing after a stream that was left', async () => {
    const { sdk, store, middleware } = await serve(nurse);
    const made = middleware();
    const controller = new AbortController();
    const { textStream } = sdk.streamText(made, { ...ask('I am a nurse.'), abortSignal: controller.signal });
    for await (const _ of textStream) controller.abort();
    await made.settled();
    expect(await store.load('u1')).toBeUndefined();
    expect(server!.requests).toHaveLength(1);
  });

  it('refuses the prompt of a policy, which cannot be asked for a reply alone', async () => {
    const { sdk, middleware } = await serve(nurse, { prompt: transcriptPrompt() });
    await expect(sdk.generateText(middleware(), ask('Hello'))).rejects.toMatchObject({ code: 'invalid-option' });
  });
});
