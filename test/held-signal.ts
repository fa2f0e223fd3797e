import { getEventListeners } from 'node:events';

/** How much hangs on a signal: listeners, and the signals that Node made of it by `AbortSignal.any`. */
export function heldBy(signal: AbortSignal): number {
  const made = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'kDependantSignals');
  const dependants = made && (signal as unknown as Record<symbol, Set<unknown> | undefined>)[made];
  return getEventListeners(signal, 'abort').length + (dependants?.size ?? 0);
}
