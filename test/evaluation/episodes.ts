import type { Episode, EpisodeTurn } from '../../src/environment/index';
import { ProfileSchema } from '../../src/profile/index';
import { type Criterion, criteria, type TurnReward, type Verdict } from '../../src/reward/index';

/** What one turn of a hand-written dialogue came to: its F1 and which criterion failed, if any. */
export type Outcome = { f1: number; fails?: Criterion; cut?: boolean } | 'malformed' | { f1: number; unjudged: true };

const profile = ProfileSchema.standard.empty();

/** A finished dialogue with the given outcomes. */
export function episode(personaId: string, outcomes: readonly Outcome[], end: Episode['end'] = 'truncated'): Episode {
  return {
    id: personaId,
    personaId,
    seed: 1,
    turns: outcomes.map(turn),
    end,
    failure: end === 'failed' ? 'the user model is down' : undefined,
  };
}

function turn(outcome: Outcome, index: number): EpisodeTurn {
  const cut = typeof outcome === 'object' && 'cut' in outcome && outcome.cut;
  return {
    turn: index + 1,
    state: { dialogueId: 'd', messages: [{ role: 'user', content: 'Hello' }], seed: 1 },
    action: { text: '', finishReason: cut ? 'length' : 'stop', usage: { inputTokens: 1, outputTokens: 1 } },
    userMessage: 'Hello',
    disclosed: [],
    profile,
    golden: profile,
    reply: '',
    reward: reward(outcome),
  };
}

function reward(outcome: Outcome): TurnReward {
  if (outcome === 'malformed') return { total: -1, status: 'malformed' };
  const score = { precision: outcome.f1, recall: outcome.f1, f1: outcome.f1, matches: [], missed: [], extra: [] };
  if ('unjudged' in outcome) return { total: 0, status: 'unjudged', profile: score, failure: 'the judge is down' };
  return { total: outcome.f1, status: 'scored', profile: score, response: verdict(outcome.fails) };
}

function verdict(fails: Criterion | undefined): Verdict {
  return Object.fromEntries(criteria.map((criterion) => [criterion, { pass: criterion !== fails, reason: '' }])) as unknown as Verdict;
}
