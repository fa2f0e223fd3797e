import { RlpaError } from '../errors';
import { printLine, type Terminal } from './terminal';

export const interruptedExitCode = 130; // 128 + SIGINT, as shells report it

export interface Interrupt {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** A signal that the first Ctrl-C (or SIGTERM) fires, so that the work can stop cleanly; the second ends the process at once. */
export function listenForInterrupt(terminal: Terminal, target: NodeJS.Process): Interrupt {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) target.exit(interruptedExitCode);
    printLine(terminal.stderr, '\nStopping cleanly. Press Ctrl-C again to quit at once.');
    controller.abort(new RlpaError('aborted', 'Interrupted.'));
  };
  target.on('SIGINT', onSignal);
  target.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    dispose() {
      target.off('SIGINT', onSignal);
      target.off('SIGTERM', onSignal);
    },
  };
}
