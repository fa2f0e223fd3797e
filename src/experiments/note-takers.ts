import { pause } from '../deadline';
import { formatTurn, type ProfileSchema } from '../profile/index';
import { Random } from '../random';
import type { SFTExample } from '../training/index';
import { notesOn } from './notes';
import { drawHabits, type Habits, plainReply } from './plain-partner';

/** Most notes at once: the oldest are forgotten. */
const longestNotes = 8;

/** How many dialogues are written before anything else gets its turn. */
const dialoguesAtAStretch = 250;

/**
 * Turns with recorded people by partners who take notes and leave to chance what they note: of each fact just told and of each note they
 * have, they toss a coin whether to write it down. The coin is another one for each partner. What they write is the user's own words.
 *
 * An example ends with one of their turns and begins with the exchange before it: the history 'latest'.
 *
 * @param options.talks what people said, a list of messages each
 * @param options.shares the coins: shares of facts that a partner writes down
 */
export async function takeNotes(options: {
  readonly schema: ProfileSchema;
  /** The slot for free-form facts. */
  readonly slot: string;
  readonly instruction: string;
  readonly talks: readonly (readonly string[])[];
  readonly shares: readonly number[];
  /** Most turns of a dialogue. */
  readonly turns: number;
  /** Examples. */
  readonly count: number;
  readonly seed: number;
  /** How all of them reply; each in a way of their own by default. */
  readonly speech?: Habits['speech'];
  /** `all`: only whole dialogues are examples, and every turn of them is learnt. Default `last`. */
  readonly targets?: 'all' | 'last';
  readonly signal?: AbortSignal;
}): Promise<SFTExample[]> {
  const { schema, slot, instruction, talks, shares, turns, count, seed, signal, targets = 'last' } = options;
  const examples: SFTExample[] = [];
  for (let index = 0; examples.length < count; index++) {
    if (index % dialoguesAtAStretch === 0) await pause(0, signal);
    const random = new Random(seed).split('notes', index);
    const habits = drawHabits(random);
    const speech = options.speech ?? habits.speech;
    const share = random.pick(shares);
    let notes: readonly string[] = [];
    let before: SFTExample['messages'] = [];
    const talk = talks[index % talks.length]!.slice(0, turns);
    for (const [turn, message] of talk.entries()) {
      const told = notesOn(message);
      notes = [...notes, ...told].filter(() => random.chance(share)).slice(-longestNotes);
      const { profile } = schema.safeProfile({ [slot]: notes });
      const disclosed = schema.safeProfile({ [slot]: told }).profile.items();
      const exchange = [
        { role: 'user' as const, content: message },
        { role: 'assistant' as const, content: formatTurn(profile, plainReply(speech, { message, disclosed, random })) },
      ];
      if (targets === 'last' || turn === talk.length - 1)
        examples.push({ messages: [{ role: 'system', content: instruction }, ...before, ...exchange], targets });
      before = exchange;
    }
  }
  return examples.slice(0, count);
}
