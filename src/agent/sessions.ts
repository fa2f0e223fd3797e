import type { StoredTurn } from './user-record';

/** How many turns are kept of a user: the latest of each session, in the sessions that were spoken in last. */
export interface TurnLimits {
  readonly maxHistory: number;
  readonly maxSessions: number;
}

/** The turns of one session, oldest first. Turns without a session are one of their own. */
export function turnsOf(turns: readonly StoredTurn[], sessionId: string | undefined): readonly StoredTurn[] {
  return turns.filter((turn) => turn.sessionId === sessionId);
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
