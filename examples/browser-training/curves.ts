import uPlot from 'uplot';
import type { CurvePoint } from './messages';
import { element, node } from './page';

const curves = ['reward', 'profileF1', 'aligned'] as const satisfies readonly (keyof CurvePoint)[];
type Curve = (typeof curves)[number];

const height = 190;

const shown: Record<Curve, (value: number) => string> = {
  reward: (value) => value.toFixed(2),
  profileF1: (value) => value.toFixed(2),
  aligned: (value) => `${Math.round(100 * value)} %`,
};

/** The curves of a training, one panel each, and the same as numbers. */
export class Curves {
  #points: CurvePoint[] = [];
  #iterations = 0;
  #plots = new Map<Curve, uPlot>();

  constructor() {
    const colours = matchMedia('(prefers-color-scheme: dark)');
    colours.addEventListener('change', () => this.#draw());
    new ResizeObserver(() => {
      for (const [curve, plot] of this.#plots) plot.setSize({ width: panel(curve).clientWidth, height });
    }).observe(element('curves'));
  }

  /** Empty axes for a training of so many iterations. */
  begin(iterations: number): void {
    this.#points = [];
    this.#iterations = iterations;
    element('curves').hidden = element('numbers').hidden = false;
    element('points').replaceChildren();
    for (const curve of curves) figure(curve).querySelector('output')!.textContent = '';
    this.#draw();
  }

  add(point: CurvePoint): void {
    this.#points.push(point);
    const row = document.createElement('tr');
    row.append(node('th', String(point.iteration)));
    for (const curve of curves) {
      const value = point[curve];
      const text = value === null ? '–' : shown[curve](value);
      row.append(node('td', text));
      figure(curve).querySelector('output')!.textContent = text;
      this.#plots.get(curve)?.setData(this.#data(curve));
    }
    row.firstElementChild!.setAttribute('scope', 'row');
    element('points').append(row);
  }

  #data(curve: Curve): uPlot.AlignedData {
    return [this.#points.map(({ iteration }) => iteration), this.#points.map((point) => point[curve])];
  }

  #draw(): void {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    const axis: uPlot.Axis = {
      stroke: colour('quiet'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui',
    };
    for (const curve of curves) {
      this.#plots.get(curve)?.destroy();
      const options: uPlot.Options = {
        width: panel(curve).clientWidth,
        height,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false, range: [1, Math.max(2, this.#iterations)] },
          y: { range: (_, least, most) => [Math.min(0, least ?? 0), Math.max(curve === 'reward' ? 0.5 : 0.2, 1.1 * (most ?? 0))] },
        },
        axes: [
          { ...axis, incrs: [1, 2, 5, 10, 20, 50], size: 28 },
          { ...axis, size: 46, values: (_, values) => values.map((value) => shown[curve](value)) },
        ],
        series: [{}, { stroke: colour('accent'), width: 2, points: { show: true, size: 5, fill: colour('accent') } }],
      };
      this.#plots.set(curve, new uPlot(options, this.#data(curve), panel(curve)));
    }
  }
}

function figure(curve: Curve): HTMLElement {
  return document.querySelector<HTMLElement>(`[data-curve=${curve}]`)!;
}

function panel(curve: Curve): HTMLElement {
  return figure(curve).querySelector('div')!;
}
