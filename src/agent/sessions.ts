import type { StoredTurn } from './user-record';

/** How many turns are kept of a user: the latest of each session, in the sessions that were spoken in last. */
export interface TurnLimits {
  readonly maxHistory: number;
  readonly maxSessions: number;
}

/** Where a turn stands: in which session, and whether it was stored before. */
export interface TurnPlace {
  readonly id: string;
  readonly sessionId: string | undefined;
  readonly isStored: boolean;
}

/**
 * The turns of a session before one of its turns, oldest first: all that there are for a turn that is not stored yet, none for one that is
 * not kept any more. Turns without a session are a session of their own.
 */
export function turnsBefore(turns: readonly StoredTurn[], { id, sessionId, isStored }: TurnPlace): readonly StoredTurn[] {
  const session = turns.filter((turn) => turn.sessionId === sessionId);
  if (!isStored) return session;
  const place = session.findIndex((turn) => turn.id === id);
  return session.slice(0, Math.max(0, place));
}

/** What is kept of the turns of all sessions, oldest first. */
export function keptTurns(turns: readonly StoredTurn[], { maxHistory, maxSessions }: TurnLimits): readonly StoredTurn[] {
  const left = new Map<string | undefined, number>();
  const kept: StoredTurn[] = [];
  for (const turn of [...turns].reverse()) {
    if (!left.has(turn.sessionId) && left.size < maxSessions) left.set(turn.sessionId, maxHistory);
    const room = left.get(turn.sessionId) ?? 0;
    if (room === 0) continue;
    left.set(turn.sessionId, room - 1);
    kept.push(turn);
  }
  return kept.reverse();
}
