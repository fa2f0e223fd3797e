import type { Episode, EpisodeTurn } from '../environment/index';
import { RlpaError } from '../errors';
import type { SampledTokens, TrainablePolicy, TrainingSequence } from '../policy/index';
import type { TurnReward } from '../reward/index';
import { type HistoryForm, joinTurns, maskOf, type TurnSpan } from './sequences';

/** One generation of a rollout: where its tokens lie and what it earned. */
export interface SampledTurn {
  readonly span: TurnSpan;
  readonly tokens: SampledTokens;
  readonly reward: TurnReward;
}

/** A dialogue as token sequences. */
export interface DialogueLayout {
  readonly sequences: readonly {
    /** Masks everything that was sampled, and the token at which the next state's value is read. */
    readonly scored: TrainingSequence;
    /** Tokens up to the last sampled one. */
    readonly length: number;
  }[];
  /** The generations that the dialogue went on with, in order. */
  readonly turns: readonly SampledTurn[];
  /** Generations that were judged, but not gone on with. */
  readonly alternatives: readonly (SampledTurn & {
    /** Index in `turns` of the generation that was gone on with instead. */
    readonly insteadOf: number;
  })[];
  /** What follows the last turn: nothing, a state whose value is read at the given token, or something that nobody knows. */
  readonly after: 'end' | 'unknown' | TurnSpan;
}

/**
 * Turns an episode into sequences. Sampled ids are used as they are. The value of the state after a truncated episode is read by
 * appending that state's prompt and one masked token, before which V is what is wanted; with kept history it costs no extra sequence.
 *
 * @throws RlpaError `training-failed` when the policy recorded no tokens, or as `joinTurns`
 */
export function layOutDialogue(
  episode: Episode,
  policy: Pick<TrainablePolicy, 'encodePrompt' | 'name'>,
  history: HistoryForm,
): DialogueLayout {
  const chain = episode.turns.map((turn) => recorded(turn.action.tokens, turn, policy.name));
  const probe =
    episode.nextState && episode.end === 'truncated'
      ? { prompt: policy.encodePrompt(episode.nextState.messages), completion: probeToken }
      : undefined;
  const main = joinTurns(probe === undefined ? chain : [...chain, probe], history);
  const spans = main.spans.slice(0, chain.length);
  const probeSpan = main.spans[chain.length];

  const sequences: DialogueLayout['sequences'][number][] = main.sequences.map((tokens, s) => {
    const last = spans.findLast((span) => span.sequence === s);
    return {
      scored: { tokens, actionMask: maskOf(tokens.length, main.spans, s) },
      length: last === undefined ? 0 : last.start + last.length,
    };
  });
  const turns = spans.map((span, t) => ({ span, tokens: chain[t]!, reward: episode.turns[t]!.reward }));

  const alternatives: DialogueLayout['alternatives'][number][] = [];
  for (const [t, turn] of episode.turns.entries()) {
    for (const { action, reward } of turn.alternatives ?? []) {
      const tokens = recorded(action.tokens, turn, policy.name);
      const own = joinTurns([tokens], 'any');
      const span = { ...own.spans[0]!, sequence: sequences.length };
      const whole = own.sequences[0]!;
      sequences.push({ scored: { tokens: whole, actionMask: maskOf(whole.length, [span], span.sequence) }, length: whole.length });
      alternatives.push({ span, tokens, reward, insteadOf: t });
    }
  }
  return { sequences, turns, alternatives, after: probeSpan ?? (episode.end === 'terminated' ? 'end' : 'unknown') };
}

/** Any id will do: it is never trained on, and what is read is the value before it. */
const probeToken = new Int32Array(1);

function recorded(tokens: SampledTokens | undefined, turn: EpisodeTurn, policy: string): SampledTokens {
  if (tokens !== undefined) return tokens;
  throw new RlpaError(
    'training-failed',
    `Turn ${turn.turn} of dialogue ${turn.state.dialogueId}: expected the policy '${policy}' to record the tokens that it sampled, found none.`,
    { turn: turn.turn, dialogueId: turn.state.dialogueId },
  );
}
