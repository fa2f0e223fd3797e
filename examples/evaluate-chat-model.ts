/**
 * How well does a chat model get to know the people it talks to?
 *
 *   OPENAI_BASE_URL=http://localhost:11434/v1 RLPA_MODEL=qwen2.5:3b npx tsx examples/evaluate-chat-model.ts
 *
 * The users are simulated and the judge is made of transparent rules, so the model under test is the only one that is asked. Without
 * OPENAI_API_KEY or OPENAI_BASE_URL a scripted model that asks but never listens takes its place.
 */
import {
  chatPolicy,
  DialogueEnvironment,
  DualReward,
  evaluate,
  formatTurn,
  generatePersonas,
  openAIChat,
  ProfileSchema,
  SimulatedUser,
  scriptedBehaviour,
} from 'rlpa';
import { scriptedChatModel } from 'rlpa/testing';

const { OPENAI_API_KEY, OPENAI_BASE_URL, RLPA_MODEL = 'gpt-4o-mini' } = process.env;
const schema = ProfileSchema.standard;
const questions = [
  'Hello! What do you do for fun?',
  'I see. Where do you live?',
  'All right. What do you do for a living?',
  'Got it. Do you have kids?',
  'Okay. What did you study?',
];
const model =
  OPENAI_API_KEY || OPENAI_BASE_URL
    ? openAIChat({ model: RLPA_MODEL, baseURL: OPENAI_BASE_URL, apiKey: OPENAI_API_KEY, concurrency: 4 })
    : scriptedChatModel(({ messages }) =>
        formatTurn(schema.empty(), questions[messages.filter(({ role }) => role === 'assistant').length]!),
      );

const report = await evaluate({
  policy: chatPolicy(model),
  environment: new DialogueEnvironment({
    schema,
    user: new SimulatedUser({ behaviour: scriptedBehaviour(), firstMessage: 'Hello' }),
    reward: new DualReward(),
    maxTurns: 5,
  }),
  personas: generatePersonas({ count: 16, seed: 1, split: 'held-out' }),
  seed: 1,
  onProgress: ({ done, total }) => process.stderr.write(`\r${done}/${total} dialogues`),
});

process.stderr.write('\n');
for (const { turn, profileF1, alignment } of report.turns) {
  console.log(`turn ${turn}: profile F1 ${profileF1.mean?.toFixed(3)}, aligned replies ${alignment.mean?.toFixed(1)} %`);
}
console.log(`malformed outputs: ${(100 * (report.malformedRate.mean ?? 0)).toFixed(1)} %`);
