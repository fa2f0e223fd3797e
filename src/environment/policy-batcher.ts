import { withDeadline } from '../deadline';
import { RlpaError } from '../errors';
import type { ActOptions, Policy, PolicyAction, PolicyState } from '../policy/policy';

/** How long the first waiting dialogue waits for others to join its batch, in milliseconds. */
const patienceMs = 5;

interface Waiting {
  readonly states: readonly PolicyState[];
  readonly resolve: (actions: (PolicyAction | RlpaError)[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface PolicyBatcherOptions extends ActOptions {
  /** How many dialogues there are: a batch is complete when all of them wait. */
  readonly dialogues: number;
  /** Deadline for one batch. */
  readonly timeoutMs: number;
}

/**
 * Collects the dialogues that wait for the policy and lets it act on them together. With users that answer at once every batch holds
 * all dialogues; with slow users those that are ready go ahead while the others wait.
 */
export class PolicyBatcher {
  readonly #policy: Policy;
  readonly #options: PolicyBatcherOptions;
  #live: number;
  #waiting: Waiting[] = [];
  #acting = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(policy: Policy, options: PolicyBatcherOptions) {
    this.#policy = policy;
    this.#options = options;
    this.#live = options.dialogues;
  }

  /** One of the dialogues is over. */
  leave(): void {
    this.#live--;
    this.#schedule();
  }

  /** One action for each of the dialogue's states, or why it could not be had. */
  act(states: readonly PolicyState[]): Promise<(PolicyAction | RlpaError)[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ states, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#acting || this.#waiting.length === 0) return;
    if (this.#waiting.length >= this.#live) void this.#flush();
    else this.#timer ??= setTimeout(() => void this.#flush(), patienceMs);
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#acting = true;
    try {
      const states = batch.flatMap((waiting) => waiting.states);
      const actions = await this.#act(states);
      let from = 0;
      for (const waiting of batch) {
        waiting.resolve(actions.slice(from, from + waiting.states.length));
        from += waiting.states.length;
      }
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    } finally {
      this.#acting = false;
      // Those who came in the meantime wait a little for the dialogues that go on now.
      this.#schedule();
    }
  }

  async #act(states: readonly PolicyState[]): Promise<(PolicyAction | RlpaError)[]> {
    const { timeoutMs, signal, temperature } = this.#options;
    const what = `The policy "${this.#policy.name}" with a batch of ${states.length} (option actionTimeoutMs)`;
    const actions = await withDeadline(what, timeoutMs, signal, (deadline) =>
      this.#policy.act(states, { signal: deadline, ...(temperature !== undefined && { temperature }) }),
    ).catch((error: unknown) => {
      // a slow batch costs its own dialogues, not those that are with their users meanwhile
      if (RlpaError.isInstance(error) && error.code === 'timeout') return states.map(() => error);
      throw error;
    });
    if (actions.length === states.length) return actions;
    throw new RlpaError('model-failed', `The policy "${this.#policy.name}" gave ${actions.length} actions for ${states.length} states.`);
  }
}
