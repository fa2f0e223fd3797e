import { RlpaError } from '../../src/errors';
import type { Checkpoint, CheckpointStore, MetricsLog, PPOMetrics } from '../../src/training/index';
import { timingMetrics } from '../../src/training/index';

/** Checkpoints that live as long as the test. */
export class MemoryCheckpoints implements CheckpointStore {
  readonly saved: Checkpoint[] = [];

  async save(checkpoint: Checkpoint): Promise<string> {
    this.saved.push(checkpoint);
    return `memory ${checkpoint.position}`;
  }

  async latest(): Promise<Checkpoint | undefined> {
    return this.saved.at(-1);
  }
}

/** The store after its checkpoints of later positions were damaged. */
export function damagedAfter(position: number, { saved }: MemoryCheckpoints): CheckpointStore {
  return {
    save: async () => '',
    async latest(onDamaged) {
      for (const { position: damaged } of saved.filter((checkpoint) => checkpoint.position > position))
        onDamaged?.(new RlpaError('invalid-checkpoint', `checkpoint-${damaged}: the file is truncated.`));
      return saved.find((checkpoint) => checkpoint.position === position);
    },
  };
}

export class MemoryLog implements MetricsLog {
  records: { position: number; metrics: object }[] = [];

  async append(position: number, metrics: object): Promise<void> {
    this.records.push({ position, metrics });
  }

  async cutAfter(position: number): Promise<void> {
    this.records = this.records.filter((record) => record.position <= position);
  }
}

/** Metrics without those that measure the machine. */
export function withoutTimings(metrics: PPOMetrics | object): Record<string, unknown> {
  const timings: readonly string[] = [...timingMetrics, 'seconds', 'tokensPerSecond'];
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => !timings.includes(name)));
}
