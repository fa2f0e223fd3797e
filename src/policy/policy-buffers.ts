import type { Device, DeviceBuffer } from '../device/index';
import { RlpaError } from '../errors';
import { Random } from '../random';
import { type Shape, sizeOf } from '../tensor/index';
import {
  initialLora,
  initialWeights,
  type LoraConfig,
  loraShapes,
  type ModelConfig,
  parameterShapes,
  valueHeadShapes,
} from '../transformer/index';
import { FrozenWeights } from './frozen-weights';
import type { LocalModel } from './local-policy-options';
import { gradientBuffer, meanBuffer, varianceBuffer } from './programs';
import type { PolicyTrainingState } from './trainable-policy';

type Tensors = Map<string, { shape: Shape; data: Float32Array }>;

/** What a policy keeps on its device: weights, once training began gradients and moments, and the reference's weights where they are others. */
export class PolicyBuffers {
  readonly #device: Device;
  readonly #config: ModelConfig;
  /** Shapes of what training moves. */
  readonly trainable: ReadonlyMap<string, Shape>;
  /** What training leaves alone: with LoRA the base. */
  readonly frozen = new FrozenWeights();
  /** Weights, gradients and moments by name. */
  readonly #buffers = new Map<string, DeviceBuffer>();
  /** Shapes of what tells the policy from its reference: the adapter, or without one all weights. */
  readonly #referenceShapes: ReadonlyMap<string, Shape>;
  /** The reference's own weights; absent while it is the base. */
  #reference: Map<string, DeviceBuffer> | undefined;

  /**
   * @param seed of the weights that the model does not bring
   * @throws `invalid-model` for a tensor that is missing or of another shape
   */
  constructor(device: Device, { config, weights }: LocalModel, lora: LoraConfig | undefined, seed: number) {
    this.#device = device;
    this.#config = config;
    const head = valueHeadShapes(config.hiddenSize);
    const adapter = lora ? loraShapes(config, lora) : new Map<string, Shape>();
    this.#referenceShapes = lora ? adapter : parameterShapes(config);
    this.trainable = new Map([...this.#referenceShapes, ...head]);
    const random = new Random(seed);
    const fresh = weights ? undefined : initialWeights(config, random);
    for (const [name, shape] of [...parameterShapes(config), ...adapter, ...head]) {
      const given = weights?.get(name) ?? fresh?.get(name);
      if (given && String(given.shape) !== String(shape)) {
        throw new RlpaError('invalid-model', `Tensor ${name} should have shape [${shape}], found [${given.shape}].`, {
          name,
          expected: shape,
          found: given.shape,
        });
      }
      const data = given?.data ?? (isAdapterTensor(name) ? initialLora(name, shape, random.split('lora', name)) : undefined);
      if (!given && !data && !name.startsWith('value_head.'))
        throw new RlpaError('invalid-model', `Tensor ${name} [${shape}] is missing.`, { name });
      if (data && !this.trainable.has(name)) this.frozen.see(name, data);
      this.#buffers.set(name, device.create(shape, 'f32', data));
    }
  }

  get weights(): ReadonlyMap<string, DeviceBuffer> {
    return this.#buffers;
  }

  get referenceWeights(): ReadonlyMap<string, DeviceBuffer> {
    return this.#reference ? new Map([...this.#buffers, ...this.#reference]) : this.#buffers;
  }

  get hasReference(): boolean {
    return this.#reference !== undefined;
  }

  get parameterCount(): number {
    return [...this.#weightNames()].reduce((total, name) => total + sizeOf(this.#buffers.get(name)!.shape), 0);
  }

  /** All buffers, with gradients and moments created on first use: a policy that only acts does without. */
  forTraining(): ReadonlyMap<string, DeviceBuffer> {
    for (const [name, shape] of this.trainable) {
      for (const key of [gradientBuffer(name), meanBuffer(name), varianceBuffer(name)]) {
        if (!this.#buffers.has(key)) this.#buffers.set(key, this.#device.create(shape, 'f32'));
      }
    }
    return this.#buffers;
  }

  clearGradients(): void {
    this.#clear([gradientBuffer]);
  }

  clearMoments(): void {
    this.#clear([meanBuffer, varianceBuffer]);
  }

  #clear(kinds: readonly ((name: string) => string)[]): void {
    const names = kinds.flatMap((kind) => [...this.trainable.keys()].map(kind));
    const buffers = names.flatMap((name) => this.#buffers.get(name) ?? []);
    if (buffers.length > 0) this.#device.clear(buffers);
  }

  /** The weights as they are become the reference's. */
  setReference(): void {
    this.#reference ??= new Map([...this.#referenceShapes].map(([name, shape]) => [name, this.#device.create(shape, 'f32')]));
    for (const [name, buffer] of this.#reference) this.#device.copy(this.#buffers.get(name)!, buffer);
  }

  /** Replaces a weight; the array is handed over. */
  write(name: string, data: Float32Array): void {
    if (!this.trainable.has(name)) this.frozen.see(name, data);
    this.#device.write(this.#buffers.get(name)!, data, { transfer: true });
  }

  /** Weights by name: base, adapter and value head, or those that are named. */
  async read(names: Iterable<string> = this.#weightNames()): Promise<Tensors> {
    const weights: Tensors = new Map();
    for (const name of names) weights.set(name, await this.#read(this.#buffers.get(name)!));
    return weights;
  }

  /** What training moves, with its moments, and the reference: what a checkpoint holds. */
  async export(): Promise<Tensors> {
    const tensors: Tensors = new Map();
    for (const name of this.trainable.keys()) {
      for (const key of [name, meanBuffer(name), varianceBuffer(name)]) {
        const buffer = this.#buffers.get(key);
        if (buffer) tensors.set(key, await this.#read(buffer));
      }
    }
    for (const [name, buffer] of this.#reference ?? []) tensors.set(referenceKey(name), await this.#read(buffer));
    return tensors;
  }

  /** @throws `invalid-checkpoint` for tensors that are not this model's, before any of them is taken over */
  import(tensors: PolicyTrainingState['tensors']): void {
    this.#check(tensors);
    if ([...tensors.keys()].some((key) => key.startsWith(meanBuffer('')))) this.forTraining();
    for (const [name, shape] of this.trainable) {
      this.#device.write(this.#buffers.get(name)!, tensors.get(name)!.data);
      for (const moment of [meanBuffer(name), varianceBuffer(name)]) {
        // a state from before the first step has none: those of later steps must not survive it
        if (this.#buffers.has(moment))
          this.#device.write(this.#buffers.get(moment)!, tensors.get(moment)?.data ?? new Float32Array(sizeOf(shape)));
      }
    }
    if (this.#reference) this.#device.release(this.#reference.values());
    this.#reference = undefined;
    for (const [name, shape] of this.#referenceShapes) {
      const stored = tensors.get(referenceKey(name));
      if (!stored) continue;
      this.#reference ??= new Map();
      this.#reference.set(name, this.#device.create(shape, 'f32', stored.data));
    }
  }

  #check(tensors: PolicyTrainingState['tensors']): void {
    const expected = new Map<string, Shape>();
    for (const [name, shape] of this.trainable) for (const key of [name, meanBuffer(name), varianceBuffer(name)]) expected.set(key, shape);
    for (const [name, shape] of this.#referenceShapes) expected.set(referenceKey(name), shape);
    const missing = [...this.trainable.keys()].filter((name) => !tensors.has(name));
    for (const name of [...missing, ...tensors.keys()]) {
      const found = tensors.get(name)?.shape;
      const wanted = expected.get(name);
      if (found && wanted && String(found) === String(wanted)) continue;
      throw new RlpaError(
        'invalid-checkpoint',
        `The checkpoint's tensor ${name}: expected ${wanted ? `shape [${wanted}]` : 'none'}, found ${found ? `[${found}]` : 'nothing'}.`,
        { name },
      );
    }
  }

  *#weightNames(): Iterable<string> {
    yield* parameterShapes(this.#config).keys();
    for (const name of this.trainable.keys()) if (isAdapterTensor(name) || name.startsWith('value_head.')) yield name;
  }

  async #read(buffer: DeviceBuffer): Promise<{ shape: Shape; data: Float32Array }> {
    return { shape: buffer.shape, data: (await this.#device.read(buffer)) as Float32Array };
  }
}

/** Whether a tensor is of a LoRA adapter. */
export const isAdapterTensor = (name: string) => name.includes('.lora_');

const referenceKey = (name: string) => `reference ${name}`;
