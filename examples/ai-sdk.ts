/**
 * The Vercel AI SDK with a memory of its user, both ways: the agent around a model of the SDK, as a middleware, and a model of the SDK
 * inside the agent.
 *
 *   OPENAI_BASE_URL=http://localhost:11434/v1 RLPA_MODEL=qwen2.5:3b npx tsx examples/ai-sdk.ts
 *   RLPA_POLICY=runs/tiny/policy npx tsx examples/ai-sdk.ts
 */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { type ModelMessage, streamText, wrapLanguageModel } from 'ai';
import { aiSdkChat, memoryStore, PersonalizedAgent, personalized } from 'rlpa';
import { languageModelOf } from './policy-language-model';
import { openSpeaker, schema } from './speaker';

const { RLPA_POLICY, OPENAI_API_KEY, OPENAI_BASE_URL = 'https://api.openai.com/v1', RLPA_MODEL = 'gpt-4o-mini' } = process.env;
const speaker = await openSpeaker();
const languageModel = RLPA_POLICY
  ? languageModelOf(speaker.model)
  : createOpenAICompatible({ name: 'example', baseURL: OPENAI_BASE_URL, apiKey: OPENAI_API_KEY })(RLPA_MODEL);
const store = memoryStore();

try {
  // In a server: one middleware a request, for the user who is logged in.
  const model = wrapLanguageModel({
    model: languageModel,
    middleware: personalized({ schema, store, userId: 'u1', prompt: speaker.prompt }),
  });
  const messages: ModelMessage[] = [];
  for (const content of ['Hello', 'I work as a nurse.', 'I really like jazz.']) {
    process.stdout.write(`user:  ${content}\nagent: `);
    messages.push({ role: 'user', content });
    const { textStream, providerMetadata } = streamText({ model, messages });
    let reply = '';
    for await (const piece of textStream) {
      process.stdout.write(piece);
      reply += piece;
    }
    messages.push({ role: 'assistant', content: reply });
    console.log('\n  knows', (await providerMetadata)?.rlpa?.profile);
  }

  const agent = new PersonalizedAgent({ schema, store, model: aiSdkChat(languageModel), prompt: speaker.prompt });
  const turn = await agent.respond({ userId: 'u1', message: 'I live in London.' });
  console.log(`user:  I live in London.\nagent: ${turn.reply}\n  knows`, turn.profile.toJSON());
} finally {
  await speaker.dispose();
}
