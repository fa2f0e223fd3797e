/** Work that goes on after replies: of one user in order, of different users at once. It must not throw. */
export class AfterReply {
  readonly #last = new Map<string, Promise<void>>();

  add(userId: string, work: () => Promise<void>): void {
    const done = (this.#last.get(userId) ?? Promise.resolve()).then(work).finally(() => {
      if (this.#last.get(userId) === done) this.#last.delete(userId);
    });
    this.#last.set(userId, done);
  }

  /** Resolves when what was added until now is done: of one user, or of all. */
  async settled(userId?: string): Promise<void> {
    await Promise.all(userId === undefined ? this.#last.values() : [this.#last.get(userId)]);
  }
}
