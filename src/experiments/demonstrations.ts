import { pause } from '../deadline';
import type { DialogueEnvironment, DialogueState } from '../environment/index';
import { formatTurn, type ProfileItem } from '../profile/index';
import { Random } from '../random';
import type { Persona } from '../simulation/index';
import type { SFTExample } from '../training/index';
import { notedProfile } from './noted-profile';
import { drawHabits, type Habits, plainReply } from './plain-partner';

/**
 * Dialogues for the warm start with generated people, with partners who keep the form and have habits, good and bad: see
 * {@link drawHabits}. What a partner writes down is always the user's own. A policy that learns from them can write valid turns in every
 * habit, and has still to learn which of them are worth something. The history is kept whole, and learnt whole.
 *
 * Half of the dialogues are one or two turns long, the others anything up to the environment's limit: what takes longest to learn, to
 * copy words from a message to a line, shows in the first turn as well as in the last.
 */
export async function demonstrate(options: {
  readonly environment: DialogueEnvironment;
  readonly personas: readonly Persona[];
  readonly count: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}): Promise<SFTExample[]> {
  const { environment, personas, count, seed, signal, onProgress } = options;
  const examples: SFTExample[] = [];
  for (let index = 0; index < count; index++) {
    if (index % dialoguesAtAStretch === 0) {
      onProgress?.({ done: index, total: count });
      await pause(0, signal); // nobody waits for anything here, and Ctrl-C would have to
    }
    const random = new Random(seed).split('demonstration', index);
    const habits = drawHabits(random);
    const turns = 1 + random.integer(random.chance(0.5) ? 2 : environment.maxTurns);
    let known: readonly ProfileItem[] = [];
    let state = await environment.reset({ persona: random.pick(personas), seed, id: `demonstration ${index}`, signal });
    for (let turn = 1; ; turn++) {
      const newest = toldNow(state, known);
      known = [...known, ...newest];
      const profile = notedProfile(environment.schema, notesOf(habits, known, newest));
      const text = formatTurn(profile, plainReply(habits.speech, { message: state.user.text, disclosed: newest, random }));
      const { messages } = state.policyState;
      if (turn === turns) {
        examples.push({ messages: [...messages, { role: 'assistant', content: text }] });
        break;
      }
      const next = await environment.step(state, { text, finishReason: 'stop', usage: { inputTokens: 0, outputTokens: 0 } }, { signal });
      if (next.state === undefined) break;
      state = next.state;
    }
  }
  onProgress?.({ done: count, total: count });
  return examples;
}

/** How many dialogues are written before anything else gets its turn. */
const dialoguesAtAStretch = 25;

/** Most facts in the notes of somebody who notes all: what is older is forgotten. */
const longestNotes = 6;

function notesOf({ notes }: Habits, known: readonly ProfileItem[], newest: readonly ProfileItem[]): readonly ProfileItem[] {
  if (notes === 'none') return [];
  if (notes === 'all') return known.slice(-longestNotes);
  return newest.length > 0 ? newest : known.slice(-1);
}

/** What the user has just told for the first time. */
function toldNow(state: DialogueState, known: readonly ProfileItem[]): readonly ProfileItem[] {
  const before = new Set(known.map(({ key }) => key));
  return state.disclosed.filter(({ key }) => !before.has(key));
}
