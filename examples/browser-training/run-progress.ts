import { type Phase, type Progress, phases } from './messages';
import { element } from './page';

/** Where a run is, how fast it goes and how long its part will still take. */
export class RunProgress {
  #phase: Phase | undefined;
  #began = { at: 0, done: 0 };

  begin(): void {
    this.#phase = undefined;
    element('run').hidden = false;
    this.show({ phase: phases[0], done: 0, total: 1, unit: 'dialogues' });
  }

  show({ phase, done, total, unit }: Progress): void {
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#began = { at: performance.now(), done };
      this.#mark(phase);
    }
    const bar = element<HTMLProgressElement>('bar');
    bar.max = total;
    bar.value = done;
    const seconds = (performance.now() - this.#began.at) / 1000;
    const rate = (done - this.#began.done) / seconds;
    const parts = [`${done} of ${total} ${unit}`];
    if (rate > 0 && seconds > 1) parts.push(speed(rate, unit), `${duration((total - done) / rate)} left`);
    element('status').textContent = parts.join(' · ');
  }

  end(message: string): void {
    this.#mark(undefined);
    element('status').textContent = message;
  }

  /** Phases before this one are done; none of it is under way any more once a run has ended. */
  #mark(current: Phase | undefined): void {
    const reached = phases.indexOf(current ?? phases.at(-1)!);
    for (const item of document.querySelectorAll<HTMLElement>('[data-phase]')) {
      const place = phases.indexOf(item.dataset.phase as Phase);
      if (current === undefined) item.removeAttribute('aria-current');
      else if (place === reached) item.setAttribute('aria-current', 'step');
      else item.removeAttribute('aria-current');
      if (current !== undefined) item.classList.toggle('done', place < reached);
    }
  }

  finish(message: string): void {
    this.end(message);
    for (const item of document.querySelectorAll('[data-phase]')) item.classList.add('done');
    element<HTMLProgressElement>('bar').value = element<HTMLProgressElement>('bar').max;
  }
}

function speed(rate: number, unit: string): string {
  return rate >= 1 ? `${rate.toFixed(rate < 10 ? 1 : 0)} ${unit}/s` : `${(1 / rate).toFixed(1)} s each`;
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
