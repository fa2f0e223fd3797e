/** Values of a tensor that are looked at: those of two models differ nearly everywhere, and to look at all takes as long as to load them. */
const looks = 64;

/** Tells the weights that training leaves alone from those of another model, by some values of each tensor. */
export class FrozenWeights {
  readonly #seen = new Map<string, Float32Array>();

  /** What the tensor of this name holds; what was said of it before no longer counts. */
  see(name: string, data: Float32Array): void {
    const stride = Math.floor(data.length / looks) | 1; // an even one might meet the same column of every row
    this.#seen.set(
      name,
      Float32Array.from({ length: Math.ceil(data.length / stride) }, (_, i) => data[i * stride]!),
    );
  }

  /** FNV-1a (Fowler, Noll and Vo) in 32 bits, the same whatever order tensors came in; undefined where there are none. */
  get checksum(): number | undefined {
    if (this.#seen.size === 0) return undefined;
    let hash = 0x811c9dc5;
    for (const name of [...this.#seen.keys()].sort()) {
      for (const byte of new Uint8Array(this.#seen.get(name)!.buffer)) hash = Math.imul(hash ^ byte, 0x01000193);
    }
    return hash >>> 0;
  }
}
