import type { DeviceLane } from '../device/index';
import type { Sample } from './continuation';
import { ProgramCache } from './program-cache';
import { RunningBatch, type RunningBatchHost, type RunningRequest, type SamplingCounters } from './running-batch';

/** Requests of a batch from which on others get one of their own. */
const fewRequests = 8;

/**
 * The running batches of a policy: one, or of a quick model that many ask at once, as many as its device has lanes. Threads that share each of many
 * small products wait for each other most of the time; with a batch each they do not.
 */
export class RunningBatches {
  readonly #batches: readonly RunningBatch[];

  constructor(host: RunningBatchHost) {
    const { lanes } = host.device;
    const isShared = () => this.#batches.filter(({ size }) => size > 0).length > 1;
    const batchIn = (device: DeviceLane, index: number) => {
      const programs = new ProgramCache(device, { beside: true });
      // all cores for what only few ask for, which is computed in the first lane
      return new RunningBatch(host, { device, programs, isShared: index === 0 ? isShared : () => true });
    };
    this.#batches = lanes.length > 0 ? lanes.map(batchIn) : [new RunningBatch(host)];
  }

  /** @throws `model-failed` for a prompt that is too long, `device-failed`, `aborted` or the signal's own reason */
  async sample(demand: RunningRequest): Promise<Sample> {
    return this.#batchFor(demand).sample(demand);
  }

  /** The one that holds the dialogue; or else the first that few requests are in, or the one that the fewest are in. */
  #batchFor({ prompt }: RunningRequest): RunningBatch {
    const [first] = this.#batches;
    const holder = this.#batches.find((batch) => batch.holds(prompt));
    if (holder) return holder;
    if (!first!.isQuick) return first!;
    return this.#batches.find(({ size }) => size < fewRequests) ?? this.#batches.toSorted((a, b) => a.size - b.size)[0]!;
  }

  /** The weights changed: what was computed by the old ones is computed again. */
  invalidate(): void {
    for (const batch of this.#batches) batch.invalidate();
  }

  get counters(): SamplingCounters {
    const all = this.#batches.map(({ counters }) => counters);
    const sum = (name: keyof SamplingCounters) => all.reduce((total, each) => total + each[name], 0);
    return { waiting: sum('waiting'), running: sum('running'), tokens: sum('tokens'), reused: sum('reused'), steps: sum('steps') };
  }
}
