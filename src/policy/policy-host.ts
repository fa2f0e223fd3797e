import type { Device, DeviceKind } from '../device/index';
import type { ChatTemplate, LoraConfig, ModelConfig, TensorSource, Tokenizer } from '../transformer/index';
import type { LocalModel, OnnxExportOptions, Weights } from './local-policy-options';

/**
 * What a local policy needs of the machine that it runs on: a device and files. Node has all of them (`src/node/policy-host.ts`); elsewhere
 * `no-policy-host.ts` opens a GPU, and says of the rest what is missing. Which of the two `#policy-host` is, package.json decides by the importer's conditions, so that
 * bundles for browsers hold no Node built-in.
 */
export interface PolicyHost {
  openDevice(kind: DeviceKind): Promise<Device>;
  readPolicy(folder: string, options: { readonly adapter?: string }): Promise<StoredPolicy>;
  writePolicy(folder: string, policy: PolicyToStore): Promise<void>;
  exportOnnx(folder: string, policy: PolicyToStore, options: OnnxExportOptions): Promise<void>;
}

/** A policy as it lies in its folders: everything but the weights' values, which are read one tensor at a time. */
export interface StoredPolicy extends Omit<LocalModel, 'weights'> {
  /** Of the model, the adapter and the value head. */
  readonly tensors: TensorSource;
  /** Of the adapter that was found. */
  readonly lora?: LoraConfig;
}

export interface PolicyToStore {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Tokens that end a turn, for whoever samples from the model. */
  readonly stopTokens: readonly number[];
  readonly generationConfig?: Readonly<Record<string, unknown>>;
  /** Only the adapter is written: it stands on `baseModel`. */
  readonly adapter?: { readonly lora: LoraConfig; readonly baseModel?: string };
  /** The model's weights or the adapter's, and the value head's. */
  readonly weights: Weights;
}
