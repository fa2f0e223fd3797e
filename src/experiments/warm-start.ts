import type { Device } from '../device/index';
import type { DialogueEnvironment } from '../environment/index';
import { LocalPolicy } from '../policy/index';
import { Random } from '../random';
import type { Persona } from '../simulation/index';
import { type SFTExample, SFTTrainer } from '../training/index';
import { type ModelConfig, parseModelConfig } from '../transformer/index';
import { demonstrate } from './demonstrations';
import { exercises } from './exercises';
import type { ExperimentProgress } from './experiment';
import { inventPeople } from './invented-people';
import { microBatchTokens, type WarmStart } from './recipes';
import { openSlot, type Setting } from './setting';
import { tinyTokenizer } from './tiny-tokenizer';

export interface WarmStartOptions {
  readonly setting: Setting;
  /** Its users are the partners' in the demonstrations. */
  readonly environment: DialogueEnvironment;
  readonly personas: readonly Persona[];
  readonly plan: WarmStart;
  readonly seed: number;
  readonly maxNewTokens: number;
  /** Opens where the policy is to run, which then owns it. */
  readonly device: () => Promise<Device>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: ExperimentProgress) => void;
}

/**
 * A new tiny policy that can hold the form: a tokenizer made for it, random weights, supervised training on exercises in the form and on
 * demonstrations by partners with good and bad habits. It is shown how valid turns look, and not which of them are worth something.
 */
export async function warmStart(options: WarmStartOptions): Promise<LocalPolicy> {
  const { setting, environment, personas, plan, seed, maxNewTokens, signal, onProgress } = options;
  const { schema, instruction } = environment;
  const { count } = plan.exercises;
  const open = openSlot(schema);
  const students = open ? inventPeople({ schema, slot: open.key, wordsOf: personas, count, seed }) : personas;
  const lessons = exercises({ schema, instruction, personas: students, count, seed });
  const demonstrations = await demonstrate({
    environment,
    personas,
    count: plan.demonstrations.count,
    seed,
    signal,
    onProgress: (progress) => onProgress?.({ phase: 'demonstrations', ...progress, unit: 'dialogues' }),
  });
  // random words are not what the vocabulary is to be good at
  const texts = (open ? demonstrations : [...lessons, ...demonstrations]).flatMap(({ messages }) => messages.map(({ content }) => content));
  const tokenizer = tinyTokenizer(schema, texts, plan.vocabularySize);

  const policy = new LocalPolicy(
    await options.device(),
    { config: tinyConfig(plan, tokenizer.size), tokenizer },
    { name: `tiny (${setting.profile})`, seed, maxNewTokens, microBatchTokens },
  );
  try {
    const courses = [
      { examples: lessons, learningRate: plan.exercises.learningRate },
      { examples: demonstrations, learningRate: plan.demonstrations.learningRate },
    ];
    const total = courses.reduce((sum, { examples }) => sum + examples.length, 0);
    let finished = 0;
    for (const { examples, learningRate } of courses) {
      await teach({ policy, examples, learningRate, seed, signal }, (done, loss) =>
        onProgress?.({ phase: 'warm-start', done: finished + done, total, unit: 'dialogues', metrics: { loss } }),
      );
      finished += examples.length;
    }
    await policy.setReference();
    return policy;
  } catch (error) {
    await policy.dispose();
    throw error;
  }
}

const batchSize = 16;

async function teach(
  course: {
    readonly policy: LocalPolicy;
    readonly examples: readonly SFTExample[];
    readonly learningRate: number;
    readonly seed: number;
    readonly signal?: AbortSignal;
  },
  onStep: (done: number, loss: number) => void,
): Promise<void> {
  const { policy, examples, learningRate, seed, signal } = course;
  const trainer = new SFTTrainer({ policy, examples, learningRate, seed, batchSize, epochs: 1, schedule: 'cosine', warmup: 0.1 });
  trainer.on('step', ({ step, metrics }) => onStep(Math.min(examples.length, step * batchSize), metrics.loss));
  await trainer.train({ signal });
}

function tinyConfig(plan: WarmStart, tokens: number): ModelConfig {
  return parseModelConfig({
    model_type: 'qwen2',
    hidden_act: 'silu',
    hidden_size: plan.hiddenSize,
    intermediate_size: plan.intermediateSize,
    num_hidden_layers: plan.layers,
    num_attention_heads: plan.heads,
    num_key_value_heads: plan.kvHeads,
    max_position_embeddings: plan.maxPositions,
    vocab_size: Math.ceil(tokens / 64) * 64,
    rms_norm_eps: 1e-6,
    // Qwen2's: most of the angles hardly turn within a dialogue, so that what is copied can be far away.
    rope_theta: 1e6,
    tie_word_embeddings: true,
  });
}

/** A stream of its own for each purpose of an experiment. */
export function seedFor(seed: number, purpose: string): number {
  return new Random(seed).split('experiment', purpose).uint32();
}
