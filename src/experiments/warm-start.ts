import type { Device } from '../device/index';
import type { DialogueEnvironment } from '../environment/index';
import { LocalPolicy, type LocalPolicyOptions } from '../policy/index';
import { Random } from '../random';
import type { Persona } from '../simulation/index';
import { Graph, sum } from '../tensor/index';
import { type SFTExample, SFTTrainer } from '../training/index';
import { type ModelConfig, parseModelConfig } from '../transformer/index';
import { canStartCopying, copyingWeights } from './copying-weights';
import { demonstrate } from './demonstrations';
import { exercises } from './exercises';
import type { ExperimentProgress } from './experiment';
import { inventTalk } from './invented-talk';
import { takeNotes } from './note-takers';
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
  const { setting, environment, plan, seed, maxNewTokens, signal, onProgress } = options;
  const device = await options.device();
  let taught: LocalPolicy | undefined;
  try {
    await checkThatItComputes(device);
    const { schema } = environment;
    const open = openSlot(schema);
    const { courses, texts } = open && plan.copying ? await notesMaterial(options, open.key, plan.copying) : await factsMaterial(options);
    const tokenizer = tinyTokenizer(schema, texts, plan.vocabularySize);

    const config = tinyConfig(plan, tokenizer.size);
    const named = { name: `tiny (${setting.profile})`, seed, maxNewTokens, microBatchTokens };
    const weights = open && canStartCopying(config) ? copyingWeights(config, new Random(seed)) : undefined;
    const policy = new LocalPolicy(device, { config, tokenizer, ...(weights && { weights }) }, named);
    const total = courses.reduce((count, { examples }) => count + examples.length, 0);
    let finished = 0;
    for (const { examples, learningRate } of courses) {
      await teach({ policy, examples, learningRate, seed, signal }, (done, loss) =>
        onProgress?.({ phase: 'warm-start', done: finished + done, total, unit: 'dialogues', metrics: { loss } }),
      );
      finished += examples.length;
    }
    taught = plan.sharpness === undefined ? policy : await sharpened(policy, plan.sharpness, options.device, named);
    await taught.setReference();
    return taught;
  } catch (error) {
    // of a sharpened policy the device is another, and its own
    await (taught ?? device).dispose();
    throw error;
  }
}

/** A device loads its libraries when it first compiles: where they are missing, that is to be known before the material is made. */
async function checkThatItComputes(device: Device): Promise<void> {
  const graph = new Graph();
  graph.output('y', sum(graph.input('x', [1])));
  device.discard(await device.compile(graph));
}

/** The same policy with its logits multiplied: they are linear in the weights of the last norm. The one that was given is at its end. */
async function sharpened(
  policy: LocalPolicy,
  sharpness: number,
  device: () => Promise<Device>,
  options: LocalPolicyOptions,
): Promise<LocalPolicy> {
  const { config, tokenizer } = policy;
  const weights = await policy.readWeights();
  const { data } = weights.get('model.norm.weight')!;
  for (let i = 0; i < data.length; i++) data[i]! *= sharpness;
  await policy.dispose();
  return new LocalPolicy(await device(), { config, tokenizer, weights }, options);
}

interface Material {
  readonly courses: readonly { readonly examples: readonly SFTExample[]; readonly learningRate: number }[];
  /** What the vocabulary is made for. */
  readonly texts: readonly string[];
}

/** For people whose facts fit the slots of a schema. */
async function factsMaterial({ environment, personas, plan, seed, signal, onProgress }: WarmStartOptions): Promise<Material> {
  const { schema, instruction } = environment;
  const lessons = exercises({ schema, instruction, personas, count: plan.exercises.count, seed });
  const demonstrations = await demonstrate({
    environment,
    personas,
    count: plan.demonstrations.count,
    seed,
    signal,
    onProgress: (progress) => onProgress?.({ phase: 'demonstrations', ...progress, unit: 'dialogues' }),
  });
  return {
    courses: [
      { examples: lessons, learningRate: plan.exercises.learningRate },
      { examples: demonstrations, learningRate: plan.demonstrations.learningRate },
    ],
    texts: textsOf([...lessons, ...demonstrations]),
  };
}

/**
 * For recorded people, whose words have to be copied: first words alone, then sentences of invented facts, all of them noted; then notes
 * that are left to chance, of invented facts and last of what people really said.
 */
async function notesMaterial(
  { environment, personas, plan, seed, signal }: WarmStartOptions,
  slot: string,
  copying: NonNullable<WarmStart['copying']>,
): Promise<Material> {
  const { schema, instruction, maxTurns } = environment;
  const real = personas.map(({ messages = [] }) => messages);
  const messages = real.flat();
  const base = { schema, slot, instruction, seed, signal };
  const everything = { ...base, turns: 2, shares: [1], speech: 'acknowledges', targets: 'all' } as const;
  const spoken = await takeNotes({
    ...base,
    talks: real,
    turns: maxTurns,
    shares: sharesNoted.really,
    count: plan.demonstrations.count,
  });
  const courses = [
    {
      ...copying.words,
      examples: await takeNotes({
        ...everything,
        talks: inventTalk({ messages, form: 'words', vocabulary: 'common', count: copying.words.count, seed }),
        count: copying.words.count,
      }),
    },
    {
      ...copying.sentences,
      examples: await takeNotes({
        ...everything,
        talks: inventTalk({ messages, form: 'sentences', vocabulary: 'common', count: copying.sentences.count, seed }),
        count: copying.sentences.count,
      }),
    },
    {
      ...plan.exercises,
      examples: await takeNotes({
        ...base,
        talks: inventTalk({ messages, form: 'sentences', vocabulary: 'all', count: plan.exercises.count, seed: seedFor(seed, 'choices') }),
        turns: longestInvented,
        shares: sharesNoted.invented,
        count: plan.exercises.count,
      }),
    },
    { ...plan.demonstrations, examples: spoken },
  ];
  // random words are not what the vocabulary is to be good at
  return { courses, texts: textsOf(spoken) };
}

/** How much partners write down: of invented facts most, so that lists get long; of real ones anything. */
const sharesNoted = { invented: [0.6, 0.8, 0.95], really: [0.25, 0.5, 0.75] };
const longestInvented = 8;

function textsOf(examples: readonly SFTExample[]): string[] {
  return examples.flatMap(({ messages }) => messages.map(({ content }) => content));
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
