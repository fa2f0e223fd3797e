import { readFileSync } from 'node:fs';
import { cpuDevice } from '../../src/device/cpu/index';
import type { Device } from '../../src/device/index';
import { DialogueEnvironment, type DialogueEnvironmentOptions } from '../../src/environment/index';
import { writeSafetensors } from '../../src/node/index';
import { LocalPolicy, type LocalPolicyOptions, type Weights } from '../../src/policy/index';
import { formatTurn, ProfileSchema } from '../../src/profile/index';
import { Random } from '../../src/random';
import { DualReward } from '../../src/reward/index';
import { disclosingPhrases, generatePersonas, type Persona, SimulatedUser, scriptedBehaviour } from '../../src/simulation/index';
import { type SFTExample, SFTTrainer } from '../../src/training/index';
import { decodeSafetensors, type ModelConfig, Tokenizer, toFloat32Array, trainTokenizer } from '../../src/transformer/index';
import { madeOnce } from '../run-folder';

export type { Weights };

export const schema = ProfileSchema.standard;
export const instruction = 'Get to know the user.';
/** All of them like hiking, so that a policy that writes it down has something right. */
export const personas = generatePersonas({ count: 24, seed: 1, split: 'train' }).map(
  (persona): Persona => ({ ...persona, profile: persona.profile.with([{ op: 'add', slot: 'interests', value: 'hiking' }]) }),
);

const replies = ['What do you do for fun?', 'Where do you live?', 'I see.', 'Do you like hiking?'];

/**
 * Dialogues with scripted users in the form in which a micro policy is to write. What it writes down has nothing to do with what the
 * user said: it is the form alone that is learnt, so that sampled turns are mostly valid, differ, and earn different rewards.
 */
async function formExamples(): Promise<SFTExample[]> {
  const environment = microEnvironment({ reward: new DualReward({ parts: 'profile' }) });
  const examples: SFTExample[] = [];
  for (let index = 0; index < 120; index++) {
    const random = new Random(index);
    let state = await environment.reset({ persona: personas[index % personas.length]!, seed: index });
    for (;;) {
      const noted = schema.profile(random.pick([{}, { interests: ['hiking'] }, { interests: ['hiking', 'cooking'] }]));
      const text = formatTurn(noted, random.pick(replies));
      const { messages } = state.policyState;
      const step = await environment.step(state, { text, finishReason: 'stop', usage: { inputTokens: 0, outputTokens: 0 } });
      if (step.end !== undefined) {
        examples.push({ messages: [...messages, { role: 'assistant', content: text }] });
        break;
      }
      state = step.state!;
    }
  }
  return examples;
}

const phrasesOf = ({ profile }: Persona) => profile.items().flatMap((item) => [...disclosingPhrases(item, 'answer', schema)]);

let trained: Tokenizer | undefined;
export function microTokenizer(): Tokenizer {
  if (trained === undefined) {
    const { tokenizer, tokenizerConfig } = trainTokenizer({
      texts: [...personas.flatMap(phrasesOf), ...personas.map(({ profile }) => formatTurn(profile, replies.join(' ')))],
      vocabularySize: 512,
      addedTokens: ['<profile>', '</profile>', '<response>', '</response>'],
    });
    trained = Tokenizer.fromJSON(tokenizer, tokenizerConfig);
  }
  return trained;
}

export function microConfig(more: Partial<ModelConfig> = {}): ModelConfig {
  return {
    architecture: 'qwen2',
    hiddenSize: 48,
    intermediateSize: 96,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headSize: 12,
    vocabularySize: microTokenizer().size,
    maxPositions: 512,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 10_000,
    tiedEmbeddings: true,
    attentionBias: true,
    attentionOutputBias: false,
    ...more,
  };
}

/** A policy of some 60,000 parameters: new, or with the given weights; on the CPU device, or on the given one. */
export function microPolicy({
  weights,
  device,
  ...options
}: LocalPolicyOptions & { readonly weights?: Weights; readonly device?: Device } = {}): LocalPolicy {
  const model = { config: microConfig(), tokenizer: microTokenizer(), ...(weights && { weights }) };
  return new LocalPolicy(device ?? cpuDevice({ threads: 2 }), model, { maxNewTokens: 48, ...options });
}

/** Weights that mostly keep the form of a turn: a few seconds of SFT, once in a run of the tests. → path of a safetensors file */
export function warmWeightsFile(steps = 100): Promise<string> {
  return madeOnce(`warm ${steps}.safetensors`, async (path) => {
    const policy = microPolicy({ seed: 3 });
    try {
      const examples = await formExamples();
      await new SFTTrainer({ policy, examples, epochs: 100, batchSize: 12, maxSteps: steps, learningRate: 1e-2, seed: 5 }).train();
      await writeSafetensors(path, await policy.readWeights());
    } finally {
      await policy.dispose();
    }
  });
}

export async function warmWeights(steps?: number): Promise<Weights> {
  return readWeights(await warmWeightsFile(steps));
}

export function readWeights(file: string): Weights {
  const stored = decodeSafetensors(readFileSync(file), file);
  return new Map([...stored].map(([name, tensor]) => [name, { shape: tensor.shape, data: toFloat32Array(tensor) }]));
}

/** Scripted users who tell a lot, three turns long. */
export function microEnvironment(options: Partial<DialogueEnvironmentOptions> = {}): DialogueEnvironment {
  return new DialogueEnvironment({
    schema,
    instruction,
    maxTurns: 3,
    user: new SimulatedUser({ behaviour: scriptedBehaviour({ volunteering: 0.9 }) }),
    reward: new DualReward(),
    ...options,
  });
}
