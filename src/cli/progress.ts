import cliProgress from 'cli-progress';
import type { ExperimentProgress } from '../experiments/index';
import { describePace, PaceMeter } from './pace';
import { isScreen, printLine, type Terminal } from './terminal';

/** Shows how far an experiment is. Everything goes to stderr: stdout is for results. */
export interface ProgressDisplay {
  update(event: ExperimentProgress): void;
  /** A line beside the progress: something that a person should know. */
  note(text: string): void;
  /** The same of what must be told, also when progress is not asked for. */
  say(text: string): void;
  /** Leaves the terminal as it was found. */
  stop(): void;
}

type Display = Omit<ProgressDisplay, 'say'>;

export interface ProgressOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** Milliseconds; the wall clock unless a test sets it. */
  readonly now?: () => number;
}

/** A bar on a terminal that can be drawn on, an occasional line elsewhere, JSON lines for machines, nothing if quiet. */
export function progressDisplay(terminal: Terminal, { json, quiet, now = () => performance.now() }: ProgressOptions): ProgressDisplay {
  const display = json ? jsonLines(terminal) : isScreen(terminal, 'stderr') ? bars(terminal, now) : lines(terminal, now);
  return { ...(quiet ? { update: () => {}, note: () => {}, stop: () => {} } : display), say: display.note };
}

/** As people read it: the phase's name in front of a bar. */
export const phaseTitles: Readonly<Record<ExperimentProgress['phase'], string>> = {
  demonstrations: 'Writing demonstrations',
  'warm-start': 'Warm start',
  'evaluate-before': 'Evaluating before',
  ppo: 'PPO',
  'evaluate-after': 'Evaluating after',
  chat: 'Talking to the agent',
  evaluate: 'Evaluating',
};

function jsonLines(terminal: Terminal): Display {
  const print = (value: object) => printLine(terminal.stderr, JSON.stringify(value));
  return { update: print, note: (text) => print({ note: text }), stop: () => {} };
}

const lineEveryMs = 10_000;

/** The first and the last event of each phase, and one every ten seconds between. */
function lines(terminal: Terminal, now: () => number): Display {
  let phase: string | undefined;
  let meter: PaceMeter;
  let printedAt = 0;
  return {
    update(event) {
      const fresh = event.phase !== phase;
      if (fresh) {
        phase = event.phase;
        meter = new PaceMeter(event.done, now);
      }
      const finished = event.done >= event.total;
      if (!fresh && !finished && now() - printedAt < lineEveryMs) return;
      printedAt = now();
      const pace = fresh ? '' : describePace(meter.at(event.done, event.total), event.unit);
      const parts = [`${event.done}/${event.total} ${event.unit}`, pace, describeMetrics(event.metrics)];
      printLine(terminal.stderr, `${phaseTitles[event.phase]}: ${parts.filter(Boolean).join(' · ')}`);
    },
    note: (text) => printLine(terminal.stderr, text),
    stop() {},
  };
}

/** One bar for each phase; finished ones stay above. */
function bars(terminal: Terminal, now: () => number): Display {
  let phase: string | undefined;
  let meter: PaceMeter;
  let bar: cliProgress.SingleBar | undefined;
  return {
    update(event) {
      if (event.phase !== phase) {
        bar?.stop();
        phase = event.phase;
        meter = new PaceMeter(event.done, now);
        bar = new cliProgress.SingleBar({
          stream: terminal.stderr,
          format: `{title} {bar} {value}/{total} {unit} · {pace}{metrics}`,
          // in a narrow terminal the numbers say more than the bar
          barsize: Math.min(24, Math.max(4, (terminal.stderr.columns ?? 100) - 72)),
          barCompleteChar: '█',
          barIncompleteChar: '░',
          hideCursor: true,
          linewrap: true, // trims to the terminal's width
          gracefulExit: false, // Ctrl-C is ours
        });
        bar.start(event.total, event.done, payload(event, meter));
        return;
      }
      bar?.setTotal(event.total);
      bar?.update(event.done, payload(event, meter));
    },
    note(text) {
      // Clears the bar's line; the bar draws itself again below.
      terminal.stderr.write(`${bar ? '\r\x1b[K' : ''}${text}\n`);
    },
    stop() {
      bar?.stop();
      bar = undefined;
      phase = undefined;
    },
  };
}

function payload(event: ExperimentProgress, meter: PaceMeter): Record<string, string> {
  const metrics = describeMetrics(event.metrics);
  return {
    title: phaseTitles[event.phase].padEnd(22),
    unit: event.unit,
    pace: describePace(meter.at(event.done, event.total), event.unit),
    metrics: metrics && ` · ${metrics}`,
  };
}

/** The metrics that tell a person how it goes, under their short names; machines get all of them. */
const shown: Readonly<Record<string, string>> = {
  loss: 'loss',
  reward: 'reward',
  profileF1: 'F1',
  responsePass: 'AL',
  malformedRate: 'malformed',
  unjudgedTurns: 'unjudged',
  klK1: 'KL',
};

/** Such as `reward 1.23, KL 0.01`. */
function describeMetrics(metrics: ExperimentProgress['metrics']): string {
  const names = 'reward' in (metrics ?? {}) ? Object.keys(shown).filter((name) => name !== 'loss') : ['loss'];
  return names
    .flatMap((name) => {
      const value = metrics?.[name];
      return value === undefined || (name === 'unjudgedTurns' && value === 0) ? [] : [`${shown[name]} ${Number(value.toPrecision(3))}`];
    })
    .join(', ');
}
