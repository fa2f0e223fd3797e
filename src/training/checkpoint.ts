import { RlpaError } from '../errors';
import type { PolicyTrainingState, TrainablePolicy } from '../policy/index';

/** All that a run needs to go on as if it had never stopped. */
export interface Checkpoint {
  readonly kind: 'ppo' | 'sft';
  /** Iterations (PPO) or optimiser steps (SFT) that are done. */
  readonly position: number;
  /** Of the policy that was trained. */
  readonly fingerprint: string;
  /** The trainer's own counters and controllers: plain JSON. */
  readonly trainer: Readonly<Record<string, unknown>>;
  readonly policy: PolicyTrainingState;
}

/** Where checkpoints are kept. */
export interface CheckpointStore {
  /** Keeps the whole checkpoint, or throws and keeps what was there before. Returns where it lies, for people. */
  save(checkpoint: Checkpoint): Promise<string>;
  /**
   * The newest checkpoint that is whole, or undefined when there never was one.
   *
   * @param onDamaged hears of each that is passed over because it is not whole
   * @throws RlpaError `invalid-checkpoint` when there are some and none is whole
   */
  latest(onDamaged?: (problem: RlpaError) => void): Promise<Checkpoint | undefined>;
}

/** Where a run's metrics are kept, one record for each position. */
export interface MetricsLog {
  append(position: number, metrics: object): Promise<void>;
  /** Removes the records of positions after the given one: a resumed run writes them again. */
  cutAfter(position: number): Promise<void>;
}

/** Where a resumed run goes on. */
export interface Resumed {
  readonly checkpoint?: Checkpoint;
  /** A sentence for each later checkpoint that is not whole. */
  readonly damaged: readonly string[];
}

export interface RunRecordOptions {
  readonly kind: Checkpoint['kind'];
  readonly policy: TrainablePolicy;
  readonly checkpoints?: CheckpointStore;
  readonly log?: MetricsLog;
}

/**
 * Keeps a run on record so that it can be resumed from any moment: metrics of a position are logged before its checkpoint is saved, and
 * a resumed run first cuts what was logged after its checkpoint.
 */
export class RunRecord {
  readonly #options: RunRecordOptions;

  constructor(options: RunRecordOptions) {
    this.#options = options;
  }

  /** Whether checkpoints are kept at all. */
  get hasStore(): boolean {
    return this.#options.checkpoints !== undefined;
  }

  /**
   * Brings the policy to the latest checkpoint, if there is one.
   *
   * @param hasTrained whether the policy is no longer as it was when the run began
   * @throws RlpaError `invalid-checkpoint` when it belongs to another model or another kind of run, cannot be read, or is gone though
   *   the policy has been trained; the policy is then as it was
   */
  async resume(hasTrained: boolean): Promise<Resumed> {
    const { kind, policy, checkpoints, log } = this.#options;
    if (checkpoints === undefined) {
      throw new RlpaError('invalid-option', "Cannot resume: expected the option 'checkpoints', found nothing.", { option: 'checkpoints' });
    }
    const problems: string[] = [];
    const checkpoint = await checkpoints.latest(({ message }) => problems.push(message));
    if (checkpoint === undefined && hasTrained) {
      throw new RlpaError(
        'invalid-checkpoint',
        'Cannot resume: the store holds no checkpoint any more, and the policy is not as it was when the run began. Expected a new trainer with a policy as it was then.',
      );
    }
    if (checkpoint !== undefined) {
      for (const [what, expected, found] of [
        ['model', policy.fingerprint, checkpoint.fingerprint],
        ['kind of run', kind, checkpoint.kind],
      ] as const) {
        if (expected === found) continue;
        throw new RlpaError('invalid-checkpoint', `The checkpoint is of another ${what}: expected '${expected}', found '${found}'.`, {
          expected,
          found,
        });
      }
      await policy.importState(checkpoint.policy);
    }
    const position = checkpoint?.position ?? 0;
    await log?.cutAfter(position);
    const place = `${kind === 'ppo' ? 'iteration' : 'step'} ${position}`;
    return { checkpoint, damaged: problems.map((problem) => `Goes on from ${place}, for a later checkpoint is damaged: ${problem}`) };
  }

  /**
   * Refuses to start over where a run is already kept: nothing is overwritten by accident.
   *
   * @throws RlpaError `invalid-option`
   */
  async assertFresh(): Promise<void> {
    const existing = await this.#options.checkpoints?.latest();
    if (existing === undefined) return;
    throw new RlpaError(
      'invalid-option',
      `The checkpoint store already holds a run (position ${existing.position}). Pass resume: true to go on with it, or give an empty store.`,
      { option: 'resume', position: existing.position },
    );
  }

  async log(position: number, metrics: object): Promise<void> {
    await this.#options.log?.append(position, metrics);
  }

  /** Saves a checkpoint; returns where it lies, or undefined without a store. */
  async save(position: number, trainer: Readonly<Record<string, unknown>>): Promise<string | undefined> {
    const { kind, policy, checkpoints } = this.#options;
    if (checkpoints === undefined) return undefined;
    return checkpoints.save({ kind, position, fingerprint: policy.fingerprint, trainer, policy: await policy.exportState() });
  }
}
