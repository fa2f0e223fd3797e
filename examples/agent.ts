/**
 * A chatbot that learns who it talks to, turn by turn.
 *
 *   npx tsx examples/agent.ts
 *
 * It asks a language model when OPENAI_API_KEY or OPENAI_BASE_URL is set (with RLPA_MODEL, default gpt-4o-mini), and otherwise plays
 * with scripted answers, so that it runs anywhere.
 */
import { type ChatModel, openAIChat, PersonalizedAgent, ProfileSchema, slot } from 'rlpa';
import { scriptedChatModel } from 'rlpa/testing';
import { z } from 'zod';

const schema = ProfileSchema.define({
  occupation: slot.one(z.string()),
  interests: slot.many(z.string()),
  location: slot.one(z.string()),
});

const { OPENAI_API_KEY, OPENAI_BASE_URL, RLPA_MODEL = 'gpt-4o-mini' } = process.env;
const model: ChatModel =
  OPENAI_API_KEY || OPENAI_BASE_URL
    ? openAIChat({ model: RLPA_MODEL, baseURL: OPENAI_BASE_URL, apiKey: OPENAI_API_KEY })
    : scriptedChatModel([
        '<profile>\n- Occupation: nurse\n</profile>\n\n<response>\nThat sounds like a long night. What helps you unwind?\n</response>',
        '<profile>\n- Occupation: nurse\n- Interests: jazz\n</profile>\n\n<response>\nLive, or records at home?\n</response>',
        '<profile>\n- Occupation: teacher\n- Interests: jazz\n- Location: Bremen\n</profile>\n\n<response>\nA big step! What do you teach?\n</response>',
      ]);

const agent = new PersonalizedAgent({ schema, model });
agent.on('contradiction', ({ slot, before, after }) => console.log(`  ${slot} was ${before.value} and is ${after.value} now`));

for (const message of [
  'Night shift again, I am a nurse and the ward was full.',
  'I put on some jazz when I get home.',
  'Big news: I moved to Bremen and became a teacher!',
]) {
  const turn = await agent.respond({ userId: 'u1', message, signal: AbortSignal.timeout(60_000) });
  console.log(`user:  ${message}\nagent: ${turn.reply}`);
  for (const { op, slot, value } of turn.changes) console.log(`  ${op} ${slot}: ${value}`);
  if (turn.problem) console.log(`  problem: ${turn.problem.message}`);
}
console.log('\nKnown in the end:', (await agent.profile('u1')).toJSON());
