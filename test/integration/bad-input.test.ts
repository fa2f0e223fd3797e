import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuDevice } from '../../src/device/cpu/index';
import { type ErrorCode, RlpaError } from '../../src/errors';
import { fileCheckpoints, fileMetrics, writeModelFolder } from '../../src/node/index';
import { LocalPolicy, type LocalPolicyOptions } from '../../src/policy/index';
import { ProfileSchema } from '../../src/profile/index';
import { Random } from '../../src/random';
import { DualReward } from '../../src/reward/index';
import { factsSchema, parsePersonaChat, recordedPersonas, replayBehaviour, SimulatedUser } from '../../src/simulation/index';
import { PPOTrainer, type PPOTrainerOptions, SFTTrainer, type SFTTrainerOptions } from '../../src/training/index';
import { initialWeights, type ModelConfig } from '../../src/transformer/index';
import { temporaryFolder } from '../node/temporary-folder';
import { microConfig, microEnvironment, microPolicy, microTokenizer, personas, schema } from './micro-policy';

const root = temporaryFolder();
const small = { hiddenSize: 16, intermediateSize: 24, layers: 1, heads: 2, kvHeads: 1, headSize: 8 };

let folders = 0;
/** A good model folder, to be spoiled. */
async function modelFolder(more: Partial<ModelConfig> = {}): Promise<string> {
  const folder = join(root, `model-${folders++}`);
  const config = microConfig({ ...small, ...more });
  await writeModelFolder(folder, { config, tensors: initialWeights(config, new Random(1)), tokenizer: microTokenizer() });
  return folder;
}

const load = (folder: string, options: LocalPolicyOptions = {}) =>
  LocalPolicy.load(folder, { ...options, device: cpuDevice({ threads: 1 }) });

function rewriteConfig(folder: string, change: Record<string, unknown>): void {
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
}

function rewriteBytes(path: string, change: (bytes: Buffer) => Buffer): void {
  writeFileSync(path, change(readFileSync(path)));
}

/** The weights with one tensor's shape in the header turned round: the same number of values, in another form. */
function transposeInHeader(bytes: Buffer, name: string): Buffer {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  header[name].shape.reverse();
  const text = JSON.stringify(header).padEnd(length);
  return Buffer.concat([bytes.subarray(0, 8), Buffer.from(text), bytes.subarray(8 + length)]);
}

let policy: LocalPolicy;
beforeAll(() => {
  policy = microPolicy();
});
afterAll(() => policy.dispose());

/** A PPO run in a folder of its own with something wrong about it. */
async function ppo(folder: string, options: Partial<PPOTrainerOptions> = {}, iterations = 1): Promise<void> {
  const trainer = new PPOTrainer({
    policy,
    environment: microEnvironment(),
    personas,
    dialogues: 2,
    checkpoints: fileCheckpoints(join(folder, 'checkpoints')),
    metricsLog: fileMetrics(join(folder, 'metrics.jsonl')),
    ...options,
  });
  await trainer.train({ iterations });
}

async function sft(folder: string, options: Partial<SFTTrainerOptions>): Promise<void> {
  const examples = [
    {
      messages: [
        { role: 'user' as const, content: 'Hi' },
        { role: 'assistant' as const, content: 'Hello' },
      ],
    },
  ];
  await new SFTTrainer({ policy, examples, checkpoints: fileCheckpoints(join(folder, 'checkpoints')), ...options }).train();
}

const header = 'user 1 personas,user 2 personas,Best Generated Conversation\n';
const empty = { ...personas[0]!, id: 'nobody', profile: schema.empty() };

interface Case {
  readonly what: string;
  readonly code: ErrorCode;
  /** What the message must name. */
  readonly names: RegExp;
  /** `folder` is where a run would write. */
  readonly attempt: (folder: string) => unknown;
}

const cases: readonly Case[] = [
  {
    what: 'a safetensors file that ends inside its header',
    code: 'invalid-file',
    names: /model\.safetensors.*truncated/,
    attempt: async () => {
      const folder = await modelFolder();
      truncateSync(join(folder, 'model.safetensors'), 100);
      return load(folder);
    },
  },
  {
    what: 'a safetensors file that ends inside its data',
    code: 'invalid-file',
    names: /model\.safetensors/,
    attempt: async () => {
      const folder = await modelFolder();
      const path = join(folder, 'model.safetensors');
      truncateSync(path, statSync(path).size - 10);
      return load(folder);
    },
  },
  {
    what: 'an empty safetensors file',
    code: 'invalid-file',
    names: /model\.safetensors/,
    attempt: async () => {
      const folder = await modelFolder();
      truncateSync(join(folder, 'model.safetensors'), 0);
      return load(folder);
    },
  },
  {
    what: 'a safetensors header that claims more bytes than there are',
    code: 'invalid-file',
    names: /model\.safetensors.*header claims/,
    attempt: async () => {
      const folder = await modelFolder();
      rewriteBytes(join(folder, 'model.safetensors'), (bytes) => {
        bytes.writeBigUInt64LE(BigInt(bytes.length), 0);
        return bytes;
      });
      return load(folder);
    },
  },
  {
    what: 'a safetensors header that claims 2^60 bytes',
    code: 'invalid-file',
    names: /model\.safetensors.*header claims/,
    attempt: async () => {
      const folder = await modelFolder();
      rewriteBytes(join(folder, 'model.safetensors'), (bytes) => {
        bytes.writeBigUInt64LE(2n ** 60n, 0);
        return bytes;
      });
      return load(folder);
    },
  },
  {
    what: 'a tensor of the wrong shape in a file',
    code: 'invalid-model',
    names: /gate_proj\.weight.*\[24,16\].*\[16,24\]/,
    attempt: async () => {
      const folder = await modelFolder();
      rewriteBytes(join(folder, 'model.safetensors'), (bytes) => transposeInHeader(bytes, 'model.layers.0.mlp.gate_proj.weight'));
      return load(folder);
    },
  },
  {
    what: 'tensors that are not those of the configuration',
    code: 'invalid-model',
    names: /model\.layers\.1/,
    attempt: async () => {
      const folder = await modelFolder();
      rewriteConfig(folder, { num_hidden_layers: 2 });
      return load(folder);
    },
  },
  {
    what: 'a tensor of the wrong shape in memory',
    code: 'invalid-model',
    names: /model\.norm\.weight.*\[48\].*\[47\]/,
    attempt: () => {
      const weights = initialWeights(microConfig(), new Random(1));
      weights.set('model.norm.weight', { shape: [47], data: new Float32Array(47) });
      return LocalPolicy.create({ config: microConfig(), tokenizer: microTokenizer(), weights, device: cpuDevice({ threads: 1 }) });
    },
  },
  {
    what: 'a tokenizer with more tokens than the embedding in a folder',
    code: 'invalid-model',
    names: /tokenizer has \d+ tokens.*\d+ rows/,
    attempt: async () => {
      const folder = await modelFolder({ vocabularySize: microTokenizer().size + 8 });
      const path = join(folder, 'tokenizer.json');
      const json = JSON.parse(readFileSync(path, 'utf8'));
      const id = microTokenizer().size + 8;
      json.added_tokens.push({ ...json.added_tokens[0], id, content: '<|one too many|>' });
      writeFileSync(path, JSON.stringify(json));
      return load(folder);
    },
  },
  {
    what: 'a tokenizer with more tokens than the embedding in memory',
    code: 'invalid-model',
    names: /tokenizer has \d+ tokens.*\d+ rows/,
    attempt: () => {
      const config = microConfig({ vocabularySize: microTokenizer().size - 1 });
      return LocalPolicy.create({ config, tokenizer: microTokenizer(), device: cpuDevice({ threads: 1 }) });
    },
  },
  { what: 'a schema without slots', code: 'invalid-schema', names: /slot/, attempt: () => ProfileSchema.define({}) },
  {
    what: 'a CSV row with a column too few',
    code: 'invalid-file',
    names: /Row 2 has 2 columns; the header has 3/,
    attempt: () => parsePersonaChat(`${header}I ski.,I swim.,"User 1: Hi\nUser 2: Hi"\nI ski.,I swim.\n`),
  },
  {
    what: 'a CSV row with a column too many',
    code: 'invalid-file',
    names: /Row 1 has 4 columns; the header has 3/,
    attempt: () => parsePersonaChat(`${header}I ski.,I swim.,"User 1: Hi\nUser 2: Hi",more\n`),
  },
  {
    what: 'a recorded user without persona sentences',
    code: 'invalid-persona',
    names: /Row 1: user 2/,
    attempt: () => parsePersonaChat(`${header}I ski.,,"User 1: Hi\nUser 2: Hi"\n`),
  },
  {
    what: 'an empty persona',
    code: 'invalid-persona',
    names: /"nobody" has an empty golden profile/,
    attempt: (folder) => ppo(folder, { personas: [...personas, empty] }),
  },
  {
    what: 'a persona that changes into nobody',
    code: 'invalid-persona',
    names: /changes to an empty profile/,
    attempt: (folder) => ppo(folder, { personas: [{ ...personas[0]!, change: { turn: 2, profile: schema.empty() } }] }),
  },
  {
    what: 'a persona of another schema',
    code: 'invalid-persona',
    names: /slot "facts"/,
    attempt: (folder) => ppo(folder, { personas: [{ id: 'x', profile: factsSchema.profile({ facts: ['I ski.'] }) }] }),
  },
  {
    what: 'a persona without messages where messages are to be replayed',
    code: 'invalid-persona',
    names: /no recorded messages/,
    attempt: (folder) => ppo(folder, { environment: microEnvironment({ user: new SimulatedUser({ behaviour: replayBehaviour() }) }) }),
  },
  {
    what: 'recorded people for a schema without their slot',
    code: 'invalid-persona',
    names: /facts/,
    attempt: (folder) => {
      const { dialogues } = parsePersonaChat(`${header}I ski.,I swim.,"User 1: Hi\nUser 2: Hi"\n`);
      return ppo(folder, { personas: recordedPersonas(dialogues) });
    },
  },
  ...(
    [
      { learningRate: Number.NaN },
      { learningRate: -1e-4 },
      { gamma: 1.1 },
      { gamma: Number.NaN },
      { lambda: -0.1 },
      { clip: -0.2 },
      { clip: Number.NaN },
      { klCoefficient: -0.01 },
      { epochs: 0 },
      { epochs: -1 },
      { minibatches: 1.5 },
      { dialogues: Number.NaN },
      { epsilon: -1e-5 },
      { maxGradientNorm: Number.NaN },
      { valueCoefficient: Number.NEGATIVE_INFINITY },
      { betas: [0.9, 1] },
      { stopKl: Number.NaN },
      { seed: -1 },
    ] satisfies Partial<PPOTrainerOptions>[]
  ).map((options): Case => {
    const [name, value] = Object.entries(options)[0]!;
    return {
      what: `PPO with ${name} ${value}`,
      code: 'invalid-option',
      names: new RegExp(name),
      attempt: (folder) => ppo(folder, options),
    };
  }),
  { what: 'PPO over NaN iterations', code: 'invalid-option', names: /iterations/, attempt: (folder) => ppo(folder, {}, Number.NaN) },
  { what: 'PPO over -1 iterations', code: 'invalid-option', names: /iterations/, attempt: (folder) => ppo(folder, {}, -1) },
  ...([{ learningRate: Number.NaN }, { batchSize: -1 }, { weightDecay: -0.1 }, { epochs: 0 }] satisfies Partial<SFTTrainerOptions>[]).map(
    (options): Case => {
      const [name, value] = Object.entries(options)[0]!;
      return {
        what: `SFT with ${name} ${value}`,
        code: 'invalid-option',
        names: new RegExp(name),
        attempt: (folder) => sft(folder, options),
      };
    },
  ),
  ...(
    [
      { temperature: Number.NaN },
      { temperature: -1 },
      { maxNewTokens: 0 },
      { microBatchTokens: Number.NaN },
      { lora: { rank: -4 } },
      { lora: { rank: 4, alpha: Number.NaN } },
      { limits: { topP: -0.5 } },
      { limits: { topK: Number.NaN } },
    ] satisfies LocalPolicyOptions[]
  ).map((options): Case => {
    const [name, value] = Object.entries(options)[0]!;
    return {
      what: `a policy with ${name} ${Object.values(Object(value)).length > 0 ? Object.entries(value as object).join(', ') : value}`,
      code: 'invalid-option',
      names: new RegExp(name === 'lora' ? 'rank|alpha' : name),
      attempt: async () => load(await modelFolder(), options),
    };
  }),
  {
    what: 'a reward of NaN',
    code: 'invalid-option',
    names: /malformedReward/,
    attempt: () => new DualReward({ malformedReward: Number.NaN }),
  },
  { what: 'a negative weight', code: 'invalid-option', names: /profile/, attempt: () => new DualReward({ weights: { profile: -1 } }) },
  { what: 'a disclosure of -0.15', code: 'invalid-option', names: /disclosurePerTurn/, attempt: () => microUser(-0.15) },
  { what: 'a disclosure of NaN', code: 'invalid-option', names: /disclosurePerTurn/, attempt: () => microUser(Number.NaN) },
  { what: '-3 turns', code: 'invalid-option', names: /maxTurns/, attempt: () => microEnvironment({ maxTurns: -3 }) },
  { what: '0 kept checkpoints', code: 'invalid-option', names: /keep/, attempt: (folder) => fileCheckpoints(folder, { keep: 0 }) },
];

const microUser = (disclosurePerTurn: number) => new SimulatedUser({ behaviour: replayBehaviour(), disclosurePerTurn });

async function refusal(attempt: () => unknown): Promise<RlpaError> {
  const error = await Promise.resolve()
    .then(attempt)
    .then(
      () => new Error('was accepted'),
      (reason: unknown) => reason,
    );
  if (RlpaError.isInstance(error)) return error;
  throw error;
}

describe('bad input is refused before work starts, and nothing is written', () => {
  it.each(cases.map(({ what, ...rest }) => [what, rest] as const))('%s', async (what, { code, names, attempt }) => {
    const folder = join(root, `run-${what.replace(/\W+/g, '-')}`);
    const before = policy.version;
    const error = await refusal(() => attempt(folder));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(names);
    expect(existsSync(folder)).toBe(false);
    expect(policy.version).toBe(before);
  });
});

describe('a checkpoint of another model', () => {
  const others: [string, () => LocalPolicy][] = [
    [
      'other sizes',
      () => new LocalPolicy(cpuDevice({ threads: 1 }), { config: microConfig(small), tokenizer: microTokenizer() }, { maxNewTokens: 8 }),
    ],
    ['an adapter', () => microPolicy({ lora: { rank: 4 } })],
  ];
  it.each(others)('(%s) is refused, and neither the run nor the policy is touched', async (kind, other) => {
    const folder = join(root, `resumed-${kind.replace(' ', '-')}`);
    const trained = other();
    await ppo(folder, { policy: trained, epochs: 1, minibatches: 1 });
    await trained.dispose();
    const listing = () => readdirSync(folder, { recursive: true, withFileTypes: true }).map(({ name }) => [name]);
    const before = { files: listing(), metrics: readFileSync(join(folder, 'metrics.jsonl'), 'utf8'), state: await policy.exportState() };

    const trainer = new PPOTrainer({
      policy,
      environment: microEnvironment(),
      personas,
      checkpoints: fileCheckpoints(join(folder, 'checkpoints')),
      metricsLog: fileMetrics(join(folder, 'metrics.jsonl')),
    });
    const error = await refusal(() => trainer.train({ iterations: 2, resume: true }));
    expect(error.code).toBe('invalid-checkpoint');
    expect(error.message).toContain('another model');
    expect({ files: listing(), metrics: readFileSync(join(folder, 'metrics.jsonl'), 'utf8'), state: await policy.exportState() }).toEqual(
      before,
    );
  });

  it.each([
    ['a tensor of another shape', 'model.norm.weight', { shape: [47], data: new Float32Array(47) }],
    ['a tensor that it has no place for', 'model.layers.7.mlp.up_proj.weight', { shape: [1], data: new Float32Array(1) }],
    ['a moment of another shape', 'mean model.norm.weight', { shape: [47], data: new Float32Array(47) }],
    ['a reference of another shape', 'reference model.norm.weight', { shape: [47], data: new Float32Array(47) }],
  ])('with %s in it leaves the policy as it was', async (_what, name, tensor) => {
    const before = await policy.exportState();
    const moved = [...before.tensors].map(([key, { shape, data }]) => [key, { shape, data: data.map((value) => value + 1) }] as const);
    const state = { version: 9, optimizerStep: 9, tensors: new Map([...moved, [name, tensor]]) };
    const error = await refusal(() => policy.importState(state));
    expect(error.code).toBe('invalid-checkpoint');
    expect(error.message).toContain(name);
    expect(await policy.exportState()).toEqual(before);
  });

  it('of another kind of run, and one that a disk has torn, are refused as well', async () => {
    const folder = join(root, 'sft-run');
    await sft(folder, { epochs: 1 });
    const trainer = new PPOTrainer({
      policy,
      environment: microEnvironment(),
      personas,
      checkpoints: fileCheckpoints(join(folder, 'checkpoints')),
    });
    expect(await refusal(() => trainer.train({ iterations: 2, resume: true }))).toMatchObject({ code: 'invalid-checkpoint' });

    const torn = join(root, 'torn', 'checkpoints');
    mkdirSync(torn, { recursive: true });
    for (const name of readdirSync(join(folder, 'checkpoints'))) {
      const bytes = readFileSync(join(folder, 'checkpoints', name));
      bytes[bytes.length - 5]! ^= 0xff;
      writeFileSync(join(torn, name), bytes);
    }
    const again = new SFTTrainer({
      policy,
      examples: [
        {
          messages: [
            { role: 'user', content: 'Hi' },
            { role: 'assistant', content: 'Hello' },
          ],
        },
      ],
      checkpoints: fileCheckpoints(torn),
    });
    expect(await refusal(() => again.train({ resume: true }))).toMatchObject({ code: 'invalid-checkpoint' });
  });
});
