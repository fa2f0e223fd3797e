/**
 * The five classes composed: a schema, simulated users, a dual reward, an environment, and PPO on a policy small enough to watch.
 *
 *   npx tsx examples/train.ts
 *
 * A new model of 60,000 parameters first learns the form alone, from turns that say nothing true, then is trained by its rewards. It
 * takes a minute or two on two cores and shows the parts; `rlpa demo` is the recipe that learns well.
 */
import {
  type ChatMessage,
  compareReports,
  DialogueEnvironment,
  DualReward,
  evaluate,
  formatTurn,
  generatePersonas,
  LocalPolicy,
  PPOTrainer,
  ProfileSchema,
  profileReward,
  responseReward,
  ruleJudge,
  type SFTExample,
  SFTTrainer,
  SimulatedUser,
  scriptedBehaviour,
  Tokenizer,
  trainTokenizer,
} from 'rlpa';

// 1. What we want to know about a user
const schema = ProfileSchema.standard;
const people = generatePersonas({ count: 64, seed: 1, split: 'train' });
const heldOut = generatePersonas({ count: 32, seed: 1, split: 'held-out' });

// 2–4. Users to talk to, what earns, and the process that both make
const instruction = 'Get to know the user.';
const environment = new DialogueEnvironment({
  schema,
  instruction,
  user: new SimulatedUser({ behaviour: scriptedBehaviour({ volunteering: 0.9 }), disclosurePerTurn: 0.15 }),
  reward: new DualReward({ profile: profileReward(), response: responseReward({ judge: ruleJudge() }) }),
  maxTurns: 3,
});

// 5. A new policy. It sees dialogues in the form that it is to write; what they note has nothing to do with the user.
const notes = [{}, { interests: ['hiking'] }, { interests: ['hiking', 'cooking'] }, { gender: 'female' }];
const replies = ['Hello!', 'I see. What do you do for fun?', 'Okay. Where do you live?', 'Got it. What do you do for a living?'];
const examples: SFTExample[] = people.map(({ profile }, person) => ({
  messages: [
    { role: 'system', content: instruction },
    ...[
      'Hello',
      ...profile
        .items()
        .slice(0, 2)
        .map((item) => `It is ${item.text}.`),
    ].flatMap((content, turn): ChatMessage[] => [
      { role: 'user', content },
      { role: 'assistant', content: formatTurn(schema.profile(notes[(person + turn) % 4]!), replies[(person + 3 * turn) % 4]!) },
    ]),
  ],
}));
const files = trainTokenizer({
  texts: examples.flatMap(({ messages }) => messages.map(({ content }) => content)),
  vocabularySize: 640,
  addedTokens: ['<profile>', '</profile>', '<response>', '</response>'],
});
const tokenizer = Tokenizer.fromJSON(files.tokenizer, files.tokenizerConfig);
const policy = await LocalPolicy.create({
  tokenizer,
  config: {
    architecture: 'qwen2',
    hiddenSize: 48,
    intermediateSize: 96,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headSize: 12,
    vocabularySize: tokenizer.size,
    maxPositions: 512,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 10_000,
    tiedEmbeddings: true,
    attentionBias: true,
    attentionOutputBias: false,
  },
  maxNewTokens: 48,
  seed: 1,
});

try {
  const warmStart = new SFTTrainer({ policy, examples, epochs: 100, maxSteps: 100, batchSize: 12, learningRate: 1e-2, seed: 1 });
  warmStart.on(
    'step',
    ({ metrics }) => metrics.step % 25 === 0 && console.log(`warm start ${metrics.step}: loss ${metrics.loss.toFixed(3)}`),
  );
  await warmStart.train();
  await policy.setReference();
  const before = await evaluate({ policy, environment, personas: heldOut, seed: 1 });

  const trainer = new PPOTrainer({ policy, environment, personas: people, dialogues: 64, learningRate: 1e-3, seed: 1 });
  trainer.on('iteration', ({ iteration, iterations, metrics }) =>
    console.log(`PPO ${iteration}/${iterations}: reward ${metrics.reward?.toFixed(3)}, malformed ${metrics.malformedRate?.toFixed(2)}`),
  );
  await trainer.train({ iterations: 30 });

  const { profileF1Last, average } = compareReports(before, await evaluate({ policy, environment, personas: heldOut, seed: 1 }));
  console.log(`On ${heldOut.length} people it never met, after PPO:`);
  console.log(`  profile F1 at the last turn changed by ${profileF1Last.mean?.toFixed(3)} ± ${profileF1Last.se?.toFixed(3)}`);
  console.log(`  aligned replies by ${average.mean?.toFixed(1)} ± ${average.se?.toFixed(1)} points`);
} finally {
  await policy.dispose();
}
