import type { ChatMessage, ChatModel } from '../chat/index';
import type { Device } from '../device/index';
import { checkKnown, RlpaError, throwIfAborted } from '../errors';
import { checkSeed } from '../random';
import type { Shape } from '../tensor/index';
import {
  ChatTemplate,
  encodeChat,
  endOfTurn,
  type LoraConfig,
  loraConfig,
  type ModelConfig,
  mergeLora,
  type Tokenizer,
  toHuggingFaceConfig,
} from '../transformer/index';
import type { Sample, SampleRequest } from './continuation';
import { type LocalChatModelOptions, localChatModel } from './local-chat-model';
import {
  type CreateOptions,
  checkOptions,
  checkSampling,
  type LoadOptions,
  type LocalModel,
  type LocalPolicyOptions,
  loadOptions,
  type OnnxExportOptions,
  partsAndOptions,
  type SamplingOptions,
  type SaveOptions,
} from './local-policy-options';
import { givenDevice, openedDevice } from './opened-device';
import type { ActOptions, PolicyAction, PolicyState } from './policy';
import { isAdapterTensor, PolicyBuffers } from './policy-buffers';
import type { PolicyToStore } from './policy-host';
import { ProgramCache } from './program-cache';
import type { ModelForm } from './programs';
import type { RunningRequest, SamplingCounters } from './running-batch';
import { RunningBatches } from './running-batches';
import { type SampleOptions, Sampler } from './sampler';
import type {
  CrossEntropyReport,
  OptimizerStep,
  PolicyTrainingState,
  PPOLossOptions,
  PPOLossReport,
  PPOSequence,
  ScoredSequence,
  TrainablePolicy,
  TrainingSequence,
} from './trainable-policy';
import { TrainingPasses } from './training-passes';
import { WeightsLock } from './weights-lock';

/**
 * A Qwen2 or Llama model on a device, which acts in dialogues and can be trained by PPO and SFT. Weights, gradients, optimiser state and
 * caches live on the device; calls are served one after the other.
 *
 * @example
 * import { LocalPolicy } from 'rlpa';
 * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { lora: { rank: 16 } });
 * const [action] = await policy.act([{ dialogueId: 'a', messages: [{ role: 'user', content: 'Hi!' }], seed: 1 }]);
 */
export class LocalPolicy implements TrainablePolicy {
  readonly name: string;
  readonly temperature: number;
  readonly maxNewTokens: number;
  readonly logProbRounding?: number;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly lora: LoraConfig | undefined;
  readonly #device: Device;
  readonly #programs: ProgramCache;
  readonly #sampler: Sampler;
  readonly #running: RunningBatches;
  readonly #form: ModelForm;
  readonly #stopTokens: ReadonlySet<number>;
  readonly #origin: Pick<LocalModel, 'generationConfig' | 'baseModel'>;
  readonly #buffers: PolicyBuffers;
  readonly #passes: TrainingPasses;
  /** Whether it began with an adapter that nobody had trained. */
  #isNewAdapter: boolean;
  /** What {@link encodePrompt} made of a list of messages, and the messages as they were. */
  readonly #prompts = new WeakMap<readonly ChatMessage[], { readonly prompt: Int32Array; readonly messages: readonly ChatMessage[] }>();
  #version = 0;
  #optimizerSteps = 0;
  /** One call at a time: training and sampling share buffers. Only the running batches, which have their own, sample beside each other. */
  readonly #lock = new WeightsLock();

  /**
   * Opens a Hugging Face folder of a Qwen2 or Llama model, or what {@link save} wrote. A PEFT adapter is put on it where `adapter` names
   * one or the folder holds one; training then goes on with that adapter.
   *
   * @throws RlpaError `invalid-file` or `invalid-model` for a folder that is not whole, `invalid-option`, `missing-dependency` outside
   *   Node, `aborted`
   * @example
   * import { LocalPolicy } from 'rlpa';
   * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { lora: { rank: 16 } });
   * const trained = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { adapter: './runs/1/adapter' });
   */
  static async load(folder: string, options: LoadOptions = {}): Promise<LocalPolicy> {
    try {
      return await LocalPolicy.#load(folder, options);
    } catch (error) {
      await givenDevice(options)?.dispose();
      throw error;
    }
  }

  static async #load(folder: string, given: LoadOptions): Promise<LocalPolicy> {
    checkKnown('LocalPolicy.load', given, loadOptions);
    const { device, adapter, signal, ...options } = given;
    checkOptions(options);
    const { policyHost } = await import('#policy-host');
    const { lora, tensors, ...model } = await policyHost.readPolicy(folder, { adapter });
    const wanted = options.lora && loraConfig(options.lora);
    if (lora && wanted && JSON.stringify(lora) !== JSON.stringify(wanted)) {
      throw new RlpaError(
        'invalid-option',
        `LocalPolicy, option 'lora': the folder's adapter is ${JSON.stringify(lora)}, found ${JSON.stringify(wanted)}; leave it out.`,
        { option: 'lora', expected: lora, found: wanted },
      );
    }
    throwIfAborted(signal);
    const weights = new Map([...tensors.shapes].map(([name, shape]) => [name, { shape }]));
    const policy = await LocalPolicy.create({ ...model, weights, ...options, lora: lora ?? options.lora, device });
    try {
      // one after the other, and each handed over: the weights are never in memory twice
      for (const name of tensors.shapes.keys()) {
        policy.#buffers.write(name, await tensors.read(name, signal));
      }
      return policy;
    } catch (error) {
      await policy.dispose();
      throw error;
    }
  }

  /**
   * A policy of given parts; a new model with random weights where `weights` are left out.
   *
   * @throws RlpaError `invalid-option`, `invalid-model`, `missing-dependency` outside Node unless a device is given
   */
  static async create(options: CreateOptions): Promise<LocalPolicy> {
    let opened = givenDevice(options);
    try {
      checkKnown('LocalPolicy.create', options, { ...partsAndOptions, device: true });
      const { device = 'cpu', ...parts } = options;
      opened = await openedDevice('LocalPolicy', device);
      return new LocalPolicy(opened, parts, parts);
    } catch (error) {
      await opened?.dispose();
      throw error;
    }
  }

  /** @param device owned by the policy from now on: {@link dispose} ends it. */
  constructor(device: Device, model: LocalModel, options: LocalPolicyOptions = {}) {
    checkKnown('LocalPolicy', model, partsAndOptions);
    checkKnown('LocalPolicy', options, partsAndOptions);
    checkOptions(options);
    const { seed = 0, temperature = 1, maxNewTokens = 256, microBatchTokens = 2048, layout = 'packed', name = 'local' } = options;
    this.config = model.config;
    this.tokenizer = model.tokenizer;
    this.template = model.template ?? ChatTemplate.of(model.tokenizer);
    this.lora = options.lora && loraConfig(options.lora);
    this.name = name;
    this.temperature = temperature;
    // of half precision ten times what single leaves: factors are rounded 2¹³ times as coarsely, but sums are not
    if (device.kind === 'webgpu-f16') this.logProbRounding = 0.1;
    this.#device = device;
    this.#programs = new ProgramCache(device);
    this.#form = { config: model.config, lora: this.lora, limits: options.limits, checkpointing: options.gradientCheckpointing };
    this.#sampler = new Sampler(device, this.#programs, this.#form);
    this.#stopTokens = new Set(endOfTurn(this.tokenizer, this.template, model.eosTokenIds ?? model.config.eosTokenIds));
    this.#running = new RunningBatches({
      device,
      programs: this.#programs,
      form: this.#form,
      stopTokens: this.#stopTokens,
      weights: () => this.#buffers.weights,
      lock: this.#lock,
    });
    this.maxNewTokens = maxNewTokens;
    this.#origin = { generationConfig: model.generationConfig, baseModel: model.baseModel };
    if (this.tokenizer.size > model.config.vocabularySize) {
      throw new RlpaError(
        'invalid-model',
        `The tokenizer has ${this.tokenizer.size} tokens, the embedding only ${model.config.vocabularySize} rows.`,
        {
          tokens: this.tokenizer.size,
          rows: model.config.vocabularySize,
        },
      );
    }
    this.#buffers = new PolicyBuffers(device, model, this.lora, seed);
    this.#passes = new TrainingPasses({
      device,
      programs: this.#programs,
      form: this.#form,
      buffers: this.#buffers,
      layout,
      microBatchTokens,
      temperature,
      lock: this.#lock,
    });
    this.#isNewAdapter = this.lora !== undefined && ![...(model.weights?.keys() ?? [])].some(isAdapterTensor);
  }

  get version(): number {
    return this.#version;
  }

  get limits(): ModelForm['limits'] {
    return this.#form.limits;
  }

  get fingerprint(): string {
    const { config, lora, tokenizer } = this;
    return JSON.stringify({ config: toHuggingFaceConfig(config), lora, tokens: tokenizer.size, base: this.#buffers.frozen.checksum });
  }

  /** Number of base, adapter and value-head parameters. */
  get parameterCount(): number {
    return this.#buffers.parameterCount;
  }

  // Acting

  async act(states: readonly PolicyState[], options: ActOptions = {}): Promise<PolicyAction[]> {
    checkKnown('Policy.act', options, { signal: true, temperature: true });
    const { signal, temperature = this.temperature } = options;
    const requests = states.map(({ dialogueId, messages, seed }) => ({ owner: dialogueId, prompt: this.encodePrompt(messages), seed }));
    const samples = await this.sample(requests, { temperature, signal });
    return samples.map((sample, index) => {
      const { prompt } = requests[index]!;
      return {
        text: this.decode(sample),
        finishReason: sample.finishReason,
        tokens: { prompt, completion: sample.completion, logProbs: sample.logProbs, values: sample.values, version: this.#version },
        usage: { inputTokens: prompt.length, outputTokens: sample.completion.length },
      };
    });
  }

  /** Whether there is room for the prompt and the longest answer, or half of all room where that may be longer. */
  canRead({ messages }: Pick<PolicyState, 'messages'>): boolean {
    const { maxPositions } = this.config;
    return this.encodePrompt(messages).length + Math.min(this.maxNewTokens, maxPositions >> 1) <= maxPositions;
  }

  /**
   * Continues token sequences; {@link act} is made of it.
   *
   * @throws RlpaError `invalid-option`, `model-failed` for a prompt that is too long, `device-failed`, `aborted`
   */
  async sample(
    requests: readonly SampleRequest[],
    options: SamplingOptions & Pick<SampleOptions, 'signal' | 'onToken'> = {},
  ): Promise<Sample[]> {
    checkKnown('LocalPolicy.sample', options, { temperature: true, limits: true, maxNewTokens: true, signal: true, onToken: true });
    const { signal, onToken, ...sampling } = options;
    checkSampling(sampling);
    for (const { seed } of requests) checkSeed(seed);
    if (requests.length === 0) return [];
    const distribution = this.#distribution(sampling);
    return this.#lock.alone(signal, () =>
      this.#sampler.sample(this.#buffers.weights, requests, { ...distribution, stopTokens: this.#stopTokens, signal, onToken }),
    );
  }

  /**
   * Continues one token sequence beside whatever else is being continued: it joins the running batch at the next step, and leaves when it
   * ends or its signal fires. The chat model is made of it; training samples whole batches, which do not depend on time.
   *
   * @throws RlpaError `invalid-option`, `model-failed` for a prompt that is too long, `device-failed`, `aborted`
   */
  async sampleAlongside(
    request: SamplingOptions & Pick<RunningRequest, 'prompt' | 'seed' | 'signal' | 'onToken' | 'isEnd'>,
  ): Promise<Sample> {
    checkKnown('LocalPolicy.sampleAlongside', request, {
      prompt: true,
      seed: true,
      temperature: true,
      limits: true,
      maxNewTokens: true,
      signal: true,
      onToken: true,
      isEnd: true,
    });
    const { temperature, maxNewTokens, limits, ...rest } = request;
    const sampling = { temperature, maxNewTokens, limits };
    checkSampling(sampling);
    checkSeed(rest.seed);
    return this.#running.sample({ ...rest, ...this.#distribution(sampling) });
  }

  /** What {@link sampleAlongside} does and has done. */
  get sampling(): SamplingCounters {
    return this.#running.counters;
  }

  /** The text of a sample, without its stop token. */
  decode({ completion, finishReason }: Pick<Sample, 'completion' | 'finishReason'>): string {
    // A text that `isEnd` ended ends with a token of its own.
    const isStopped = finishReason === 'stop' && this.#stopTokens.has(completion.at(-1)!);
    return this.tokenizer.decode(isStopped ? completion.subarray(0, -1) : completion, { skipSpecial: true });
  }

  release(dialogueIds: readonly string[]): void {
    void this.#lock.alone(undefined, async () => this.#sampler.release(dialogueIds));
  }

  encodePrompt(messages: readonly ChatMessage[]): Int32Array {
    // who acts has mostly asked before whether it can be read
    const known = this.#prompts.get(messages);
    if (known && sameMessages(known.messages, messages)) return known.prompt.slice();
    const prompt = encodeChat(this.tokenizer, this.template, messages, { addGenerationPrompt: true });
    this.#prompts.set(messages, { prompt: prompt.slice(), messages: messages.map((message) => ({ ...message })) });
    return prompt;
  }

  encodeAssistant(text: string): Int32Array {
    const end = [...this.#stopTokens][0];
    if (end === undefined) throw new RlpaError('invalid-model', 'The tokenizer and its chat template name no token that ends a turn.');
    return Int32Array.of(...this.tokenizer.encode(text), end);
  }

  /**
   * This policy as a language model for agents: the same weights, sampled at the request's temperature. Calls are batched while they run.
   *
   * @throws RlpaError `invalid-option`
   * @example
   * import { LocalPolicy, PersonalizedAgent, ProfileSchema, transcriptPrompt } from 'rlpa';
   * const policy = await LocalPolicy.load('./runs/1/policy');
   * const agent = new PersonalizedAgent({ schema: ProfileSchema.standard, model: policy.asChatModel(), prompt: transcriptPrompt() });
   */
  asChatModel(options: LocalChatModelOptions = {}): ChatModel {
    return localChatModel(this, options);
  }

  // Training

  async score(
    sequences: readonly TrainingSequence[],
    options: { reference?: boolean; signal?: AbortSignal } = {},
  ): Promise<ScoredSequence[]> {
    checkKnown('LocalPolicy.score', options, { reference: true, signal: true });
    const { reference = false, signal } = options;
    // left alone it would move with the weights, and the KL would stay 0 whatever they become
    if (reference && !this.lora && !this.#buffers.hasReference) await this.setReference();
    return this.#passes.score(sequences, reference, signal);
  }

  async accumulatePPO(sequences: readonly PPOSequence[], loss: PPOLossOptions, signal?: AbortSignal): Promise<PPOLossReport> {
    checkKnown('LocalPolicy.accumulatePPO', loss, {
      clip: true,
      valueClip: true,
      valueCoefficient: true,
      entropyCoefficient: true,
      klLossCoefficient: true,
      klLoss: true,
      normalizer: true,
    });
    return this.#passes.accumulatePPO(sequences, loss, signal);
  }

  async accumulateCrossEntropy(
    sequences: readonly TrainingSequence[],
    normalizer: number,
    signal?: AbortSignal,
  ): Promise<CrossEntropyReport> {
    return this.#passes.accumulateCrossEntropy(sequences, normalizer, signal);
  }

  async update(step: OptimizerStep): Promise<{ readonly gradientNorm: number }> {
    checkKnown('LocalPolicy.update', step, {
      learningRate: true,
      valueLearningRate: true,
      betas: true,
      epsilon: true,
      weightDecay: true,
      decayAll: true,
      maxGradientNorm: true,
    });
    return this.#lock.alone(undefined, async () => {
      const gradientNorm = await this.#passes.update(step, ++this.#optimizerSteps);
      this.#version++;
      this.#invalidateCaches();
      return { gradientNorm };
    });
  }

  async clearGradients(): Promise<void> {
    await this.#lock.alone(undefined, async () => this.#buffers.clearGradients());
  }

  async resetOptimizer(): Promise<void> {
    await this.#lock.alone(undefined, async () => {
      this.#buffers.clearMoments();
      this.#optimizerSteps = 0;
    });
  }

  async setReference(): Promise<void> {
    // a new adapter changes nothing: the base, which is the reference already, is scored faster without it
    if (this.#isNewAdapter && this.#version === 0) return;
    await this.#lock.alone(undefined, async () => this.#buffers.setReference());
  }

  async exportState(): Promise<PolicyTrainingState> {
    return this.#lock.alone(undefined, async () => {
      return { version: this.#version, optimizerStep: this.#optimizerSteps, tensors: await this.#buffers.export() };
    });
  }

  async importState({ version, optimizerStep, tensors }: PolicyTrainingState): Promise<void> {
    await this.#lock.alone(undefined, async () => {
      this.#buffers.import(tensors);
      this.#isNewAdapter = false;
      this.#version = version;
      this.#optimizerSteps = optimizerStep;
      this.#invalidateCaches();
    });
  }

  /**
   * Saves what acts, to be opened by {@link load}, transformers, PEFT or vLLM: a Hugging Face folder; with LoRA a PEFT adapter folder, or
   * `merged` the whole model. The value head lies beside it in a file of its own. A training that is to go on needs a checkpoint instead.
   *
   * @throws RlpaError `invalid-option` for an empty path or an adapter into a folder that holds a model, `invalid-file` where the folder is a
   *   file, `file-failed`, `missing-dependency` outside Node
   * @example
   * import { LocalPolicy } from 'rlpa';
   * const policy = await LocalPolicy.load('./Qwen2.5-0.5B-Instruct', { lora: { rank: 16 } });
   * await policy.save('./runs/1/policy');
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    checkKnown('LocalPolicy.save', options, { merged: true });
    const { policyHost } = await import('#policy-host');
    await policyHost.writePolicy(folder, await this.#toStore(options.merged ?? false));
  }

  /**
   * Writes the model, its adapter merged into it, as ONNX in the layout that `pipeline('text-generation')` of @huggingface/transformers
   * opens, in Node and in browsers. It writes what {@link act} writes at temperature 0; the value head stays behind.
   *
   * @throws RlpaError `invalid-option` for an empty path, `file-failed`, `missing-dependency` outside Node
   * @example
   * import { LocalPolicy } from 'rlpa';
   * const policy = await LocalPolicy.load('./runs/1/policy');
   * await policy.exportOnnx('./models/my-policy');
   * // elsewhere: env.localModelPath = './models'; const write = await pipeline('text-generation', 'my-policy');
   */
  async exportOnnx(folder: string, options: OnnxExportOptions = {}): Promise<void> {
    checkKnown('LocalPolicy.exportOnnx', options, { quantized: true });
    const { policyHost } = await import('#policy-host');
    await policyHost.exportOnnx(folder, await this.#toStore(true), options);
  }

  async #toStore(merged: boolean): Promise<PolicyToStore> {
    const { config, tokenizer, template, lora } = this;
    const { generationConfig, baseModel } = this.#origin;
    const adapter = lora && !merged ? { lora, baseModel } : undefined;
    const weights = await this.readWeights(adapter && this.#buffers.trainable.keys());
    return {
      config,
      tokenizer,
      template,
      stopTokens: [...this.#stopTokens],
      generationConfig,
      adapter,
      weights: lora && merged ? mergeLora(weights, config, lora) : weights,
    };
  }

  /** Weights by name, read from the device: base, adapter and value head, or those that are named. */
  async readWeights(names?: Iterable<string>): Promise<Map<string, { shape: Shape; data: Float32Array }>> {
    return this.#lock.alone(undefined, () => this.#buffers.read(names));
  }

  async dispose(): Promise<void> {
    await this.#device.dispose();
  }

  /** What tokens are drawn from. The most likely ones, too, have the log-probabilities of the policy's own temperature. */
  #distribution({ temperature = this.temperature, maxNewTokens = this.maxNewTokens, limits }: SamplingOptions) {
    const form = limits ? { ...this.#form, limits: { ...this.#form.limits, ...limits } } : this.#form;
    return { form, temperature: temperature || this.temperature, greedy: temperature === 0, maxNewTokens };
  }

  /** The weights changed. */
  #invalidateCaches(): void {
    this.#sampler.invalidate();
    this.#running.invalidate();
  }
}

function sameMessages(some: readonly ChatMessage[], others: readonly ChatMessage[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ role, content, tokens }, i) => {
      const other = others[i]!;
      return role === other.role && content === other.content && tokens === other.tokens;
    })
  );
}
