import type { Device, DeviceKind } from '../device/index';
import { checkKnown, invalidOption } from '../errors';
import type { Shape, SupportLimits } from '../tensor/index';
import type { ChatTemplate, ModelConfig, Projection, Tokenizer } from '../transformer/index';
import { type BatchLayout, batchLayouts } from './batch';

export type Weights = ReadonlyMap<string, { readonly shape: Shape; readonly data: Float32Array }>;

export interface LocalPolicyOptions {
  /** Train an adapter and leave the base model as it is. Without it all weights are trained. */
  readonly lora?: { readonly rank: number; readonly alpha?: number; readonly targets?: readonly Projection[] } | undefined;
  /** Seeds weights that are not given: a new model's, a new adapter's. Default 0. */
  readonly seed?: number | undefined;
  /** Of the sampling distribution, and of every log-probability. Default 1. */
  readonly temperature?: number | undefined;
  /** Restricts sampling, and every log-probability with it. Off by default, and best left off in training. */
  readonly limits?: SupportLimits | undefined;
  /** Most tokens of an action. Default 256. */
  readonly maxNewTokens?: number | undefined;
  /** Most tokens, padding included, of a forward and backward pass. Changes memory and speed, not results: what a pass of many
   * thousands computes no longer stays near the processor. Default 2048. */
  readonly microBatchTokens?: number | undefined;
  /** How sequences share the rows of a training batch. Changes speed, not results. Default `packed`. */
  readonly layout?: BatchLayout | undefined;
  /** Compute each layer again in the backward pass instead of keeping what it computed: less memory for more time. Default false. */
  readonly gradientCheckpointing?: boolean | undefined;
  /** What it is called in reports and to clients; default `local`. */
  readonly name?: string | undefined;
}

/** What a {@link LocalPolicy} is made of. */
export interface LocalModel {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly template?: ChatTemplate | undefined;
  /** Base weights by Hugging Face name; absent for a new model. May hold adapter and value-head tensors too. Without data: zeros. */
  readonly weights?: ReadonlyMap<string, { readonly shape: Shape; readonly data?: Float32Array }> | undefined;
  /** Tokens that end a text, beside what the template and the tokenizer say; the configuration's by default. */
  readonly eosTokenIds?: readonly number[] | undefined;
  /** What generation_config.json says to others; saved again with the model. */
  readonly generationConfig?: Readonly<Record<string, unknown>> | undefined;
  /** Folder or hub name of these base weights, for whoever opens an adapter that was trained on them. */
  readonly baseModel?: string | undefined;
}

export interface LoadOptions extends LocalPolicyOptions {
  /** Where it runs: `cpu` (the default), `webgpu`, `webgpu-f16`, or a device, which the policy owns from then on. */
  readonly device?: DeviceKind | Device | undefined;
  /** The folder of a PEFT adapter to be put on the model. */
  readonly adapter?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CreateOptions extends LocalModel, LocalPolicyOptions {
  /** Where it runs, as in {@link LoadOptions}. */
  readonly device?: DeviceKind | Device | undefined;
}

export interface SaveOptions {
  /** Add the adapter to the base model and save the whole, for those who read no adapters. */
  readonly merged?: boolean | undefined;
}

export interface OnnxExportOptions {
  /** Matrices in 8 bits a value: a quarter of the size, and nearly the same model. */
  readonly quantized?: boolean | undefined;
}

/** How one call samples; the policy's own where it says nothing. */
export interface SamplingOptions {
  /** 0 takes the most likely token everywhere. */
  readonly temperature?: number | undefined;
  /** Top-k and top-p: what may be sampled at all. */
  readonly limits?: SupportLimits | undefined;
  /** None at all samples one, which ends the text, and Infinity as many as there is room for. */
  readonly maxNewTokens?: number | undefined;
}

/** Names, of which none may be missing: what is not among them is refused. */
const ownOptions = {
  lora: true,
  seed: true,
  temperature: true,
  limits: true,
  maxNewTokens: true,
  microBatchTokens: true,
  layout: true,
  gradientCheckpointing: true,
  name: true,
} satisfies Record<keyof LocalPolicyOptions, true>;

export const loadOptions = { ...ownOptions, device: true, adapter: true, signal: true } satisfies Record<keyof LoadOptions, true>;

/** What a policy is made of, and its options: one object may hold both. */
export const partsAndOptions = {
  ...ownOptions,
  config: true,
  tokenizer: true,
  template: true,
  weights: true,
  eosTokenIds: true,
  generationConfig: true,
  baseModel: true,
} satisfies Record<keyof (LocalModel & LocalPolicyOptions), true>;

/** @throws `invalid-option` */
export function checkOptions(options: LocalPolicyOptions): void {
  checkSampling(options);
  const { temperature = 1, maxNewTokens = 256, microBatchTokens = 2048, layout = 'packed' } = options;
  // log-probabilities at a temperature of 0 would be those of one token alone
  for (const [name, value] of Object.entries({ temperature, maxNewTokens, microBatchTokens })) {
    if (!(value > 0) || !Number.isFinite(value)) throw invalidOption('LocalPolicy', name, 'a finite number above 0', value);
  }
  if (!batchLayouts.includes(layout)) throw invalidOption('LocalPolicy', 'layout', `one of ${batchLayouts.join(', ')}`, layout);
}

/** @throws `invalid-option` */
export function checkSampling({ temperature = 1, limits = {}, maxNewTokens = 1 }: SamplingOptions): void {
  if (!(temperature >= 0) || !Number.isFinite(temperature))
    throw invalidOption('LocalPolicy', 'temperature', 'a finite number of at least 0', temperature);
  checkKnown('limits', limits, { topK: true, topP: true });
  const { topK = 1, topP = 1 } = limits;
  if (!Number.isInteger(topK) || topK < 1) throw invalidOption('LocalPolicy', 'limits.topK', 'a whole number of at least 1', topK);
  if (!(topP > 0 && topP <= 1)) throw invalidOption('LocalPolicy', 'limits.topP', 'a number in (0, 1]', topP);
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0) && maxNewTokens !== Number.POSITIVE_INFINITY)
    throw invalidOption('LocalPolicy', 'maxNewTokens', 'a whole number of at least 0, or Infinity', maxNewTokens);
}
