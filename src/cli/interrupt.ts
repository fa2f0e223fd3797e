import { RlpaError } from '../errors';
import { isScreen, printLine, type Terminal } from './terminal';

export const interruptedExitCode = 130; // 128 + SIGINT, as shells report it

/** A progress bar may have hidden it. */
const showCursor = '\x1b[?25h';

export interface Interrupt {
  readonly signal: AbortSignal;
  dispose(): void;
}

/**
 * A signal that the first Ctrl-C (or SIGTERM) fires, so that the work can stop cleanly; the second ends the process at once, as if nobody
 * had listened: an orderly exit would wait for the engine's thread, or fail with it.
 */
export function listenForInterrupt(terminal: Terminal, target: NodeJS.Process): Interrupt {
  const controller = new AbortController();
  const dispose = () => {
    target.off('SIGINT', onSignal);
    target.off('SIGTERM', onSignal);
  };
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      if (isScreen(terminal, 'stderr')) terminal.stderr.write(showCursor);
      dispose();
      target.kill(target.pid, name);
      return;
    }
    printLine(terminal.stderr, '\nStopping cleanly. Press Ctrl-C again to quit at once.');
    controller.abort(new RlpaError('aborted', 'Interrupted.'));
  };
  target.on('SIGINT', onSignal);
  target.on('SIGTERM', onSignal);
  return { signal: controller.signal, dispose };
}
