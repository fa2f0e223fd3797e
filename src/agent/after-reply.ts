import { perStore } from './per-store';
import { wait } from './requests';
import type { WaitOptions } from './turn';

/** Work that goes on after replies: of one user in order, of different users at once. It must not throw. */
export class AfterReply {
  readonly #last = new Map<string, Promise<void>>();

  add(userId: string, work: () => Promise<void>): void {
    const done = (this.#last.get(userId) ?? Promise.resolve()).then(work).finally(() => {
      if (this.#last.get(userId) === done) this.#last.delete(userId);
    });
    this.#last.set(userId, done);
  }

  /** Resolves when what was added until now is done: of one user, or of all. @throws `timeout`, `aborted` */
  async settled(userId: string | undefined, options: WaitOptions): Promise<void> {
    const last = userId === undefined ? [...this.#last.values()] : [this.#last.get(userId)];
    await wait('Settling', options, () => Promise.all(last));
  }
}

/** What runs after the replies of all agents over a store: a user's later message counts, whichever of them it was said to. */
export const afterReplyOf = perStore(() => new AfterReply());
