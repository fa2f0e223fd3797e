/** How fast something goes and how long it will still take. */
export interface Pace {
  /** Units per second since the start; `undefined` until the first unit is done. */
  readonly rate?: number;
  readonly remainingSeconds?: number;
  readonly elapsedSeconds: number;
}

/** Measures the pace of one phase. What was done before it started, by a run that is being resumed, does not count as speed. */
export class PaceMeter {
  readonly #startedAt: number;

  constructor(
    private readonly doneAtStart: number,
    private readonly now: () => number,
  ) {
    this.#startedAt = now();
  }

  at(done: number, total: number): Pace {
    const elapsedSeconds = (this.now() - this.#startedAt) / 1000;
    const own = done - this.doneAtStart;
    if (own <= 0 || elapsedSeconds <= 0) return { elapsedSeconds };
    const rate = own / elapsedSeconds;
    return { rate, remainingSeconds: Math.max(0, total - done) / rate, elapsedSeconds };
  }
}

/** Such as `1m 23s`. */
export function describeDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours > 0) return `${hours}h ${String(minutes).padStart(2, '0')}m`;
  if (minutes > 0) return `${minutes}m ${String(rest).padStart(2, '0')}s`;
  return `${rest}s`;
}

/** Such as `15 iterations/min, 1m 23s left`. */
export function describePace({ rate, remainingSeconds, elapsedSeconds }: Pace, unit: string): string {
  if (rate === undefined || remainingSeconds === undefined) return `${describeDuration(elapsedSeconds)} so far`;
  const speed = rate >= 1 ? `${significant(rate)} ${unit}/s` : `${significant(rate * 60)} ${unit}/min`;
  return `${speed}, ${remainingSeconds > 0 ? `${describeDuration(remainingSeconds)} left` : `took ${describeDuration(elapsedSeconds)}`}`;
}

function significant(value: number): string {
  return value >= 100 ? value.toFixed(0) : Number(value.toPrecision(2)).toString();
}
