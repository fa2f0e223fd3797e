import { RlpaError } from '../../errors';

// WebGPU's flags by value: the names are globals in browsers only
export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128, queryResolve: 512 } as const;
export const forData = usage.storage | usage.copySource | usage.copyTarget;

export const roundUp = (bytes: number, step: number) => Math.ceil(bytes / step) * step;
/** Four floats at least, and a multiple of that: some kernels read four at a time. */
export const paddedBytes = (bytes: number) => Math.max(16, roundUp(bytes, 16));

/**
 * The GPU memory of a device. Data that is given back stays for the next demand of its size, so that caches which come and go with the
 * dialogues do not cost new buffers, and bindings to them stay valid.
 */
export class Buffers {
  readonly #owned = new Set<GPUBuffer>();
  /** What was given back, the oldest first. */
  readonly #idle = new Set<GPUBuffer>();
  #idleBytes = 0;
  readonly #answers = new Set<Promise<void>>();

  /** @param idleLimit bytes that are kept for later demands at most */
  constructor(
    readonly device: GPUDevice,
    readonly fail: (error: RlpaError) => void,
    readonly idleLimit = 1 << 30,
  ) {}

  get count(): number {
    return this.#owned.size;
  }

  get bytes(): number {
    return [...this.#owned].reduce((total, { size }) => total + size, 0);
  }

  /**
   * Memory for data that is read and written by kernels. What it holds is not defined.
   *
   * @throws `device-failed` above the limits of the device
   */
  take(bytes: number, what: string): GPUBuffer {
    const size = paddedBytes(bytes);
    for (const buffer of this.#idle) {
      if (buffer.size !== size) continue;
      this.#idle.delete(buffer);
      this.#idleBytes -= size;
      return buffer;
    }
    return this.create(bytes, forData, what);
  }

  /** Takes memory back. */
  give(buffer: GPUBuffer): void {
    this.#idle.add(buffer);
    this.#idleBytes += buffer.size;
    for (const oldest of this.#idle) {
      if (this.#idleBytes <= this.idleLimit) break;
      this.#dropIdle(oldest);
    }
  }

  /** @throws `device-failed` above the limits of the device */
  create(bytes: number, flags: number, what: string): GPUBuffer {
    const size = paddedBytes(bytes);
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    const limit = flags & usage.storage ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
    if (size > limit) {
      throw new RlpaError(
        'device-failed',
        `This GPU allows ${limit} bytes a buffer; ${what} needs ${size}. Use a smaller batch or model.`,
        {
          bytes: size,
          limit,
        },
      );
    }
    // rather than run out of memory while some lies idle
    if (this.#idleBytes > 0 && size > this.idleLimit / 4) for (const buffer of this.#idle) this.#dropIdle(buffer);
    this.device.pushErrorScope('out-of-memory');
    const buffer = this.device.createBuffer({ size, usage: flags, label: what });
    const answer = this.device.popErrorScope().then(
      (error) => {
        if (!error) return;
        const message = `The GPU has no ${size} bytes left for ${what}: use smaller micro-batches, an adapter, or another GPU. ${error.message}`;
        this.fail(new RlpaError('device-failed', message, { bytes: size, outOfMemory: true }));
      },
      // the device is gone, which is reported elsewhere
      () => {},
    );
    this.#answers.add(answer);
    void answer.then(() => this.#answers.delete(answer));
    this.#owned.add(buffer);
    return buffer;
  }

  /** Resolves when it is known of all memory that was asked for whether there is any. */
  async granted(): Promise<void> {
    await Promise.all(this.#answers);
  }

  destroy(buffer: GPUBuffer): void {
    this.#owned.delete(buffer);
    buffer.destroy();
  }

  #dropIdle(buffer: GPUBuffer): void {
    this.#idle.delete(buffer);
    this.#idleBytes -= buffer.size;
    this.destroy(buffer);
  }
}
