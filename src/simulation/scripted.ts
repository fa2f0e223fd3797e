import { checkKnown, invalidOption } from '../errors';
import { asksAbout, isFlattery, isRepetition } from '../language/index';
import type { ProfileItem } from '../profile/index';
import { disclosingPhrases, impersonal, type Occasion } from './phrases';
import type { UserBehaviour, UserContext, UserUtterance } from './user-behaviour';

export interface ScriptedBehaviourOptions {
  /** Probability of telling something unasked, where no question was asked. */
  readonly volunteering?: number | undefined;
  /** Probability of asking something back, where nothing was asked and nothing is told. */
  readonly questioning?: number | undefined;
}

/**
 * A user made of templates, which needs no model. It greets; answers a question about a fact that it has not told; says so where it
 * has told it, or has no such fact; dislikes repetition and flattery; tells of a change of its profile when that comes; and otherwise
 * tells something at random or makes small talk. So a policy that asks good questions learns more. One fact a message at most.
 *
 * @example
 * import { scriptedBehaviour, SimulatedUser } from 'rlpa';
 * const user = new SimulatedUser({ behaviour: scriptedBehaviour({ volunteering: 0.35 }) });
 */
export function scriptedBehaviour(options: ScriptedBehaviourOptions = {}): UserBehaviour {
  checkKnown('scriptedBehaviour', options, { volunteering: true, questioning: true });
  const { volunteering = 0.35, questioning = 0.08 } = options;
  for (const [option, probability] of Object.entries({ volunteering, questioning })) {
    if (!(probability >= 0 && probability <= 1)) throw invalidOption('scriptedBehaviour', option, 'a number in [0, 1]', probability);
  }
  return {
    name: 'scripted',
    async reply(context) {
      return (
        greetingOf(context) ?? changeOf(context) ?? dislikeOf(context) ?? answerOf(context) ?? idle(context, volunteering, questioning)
      );
    },
  };
}

function greetingOf(context: UserContext): UserUtterance | undefined {
  return context.turn === 1 ? say(context, impersonal.greeting) : undefined;
}

function changeOf(context: UserContext): UserUtterance | undefined {
  const { persona, turn } = context;
  if (persona.change?.turn !== turn) return undefined;
  const before = new Set(persona.profile.items().map((item) => item.key));
  const changed = undisclosed(context).filter((item) => !before.has(item.key));
  return tell(context, changed, 'change');
}

function dislikeOf(context: UserContext): UserUtterance | undefined {
  const replies = context.dialogue.filter((message) => message.role === 'assistant').map((message) => message.content);
  const last = replies.at(-1);
  if (last === undefined) return undefined;
  if (isRepetition(last, replies.slice(0, -1))) return say(context, impersonal.repetition);
  return isFlattery(last) ? say(context, impersonal.flattery) : undefined;
}

function answerOf(context: UserContext): UserUtterance | undefined {
  const { golden, dialogue } = context;
  const last = dialogue.at(-1);
  const asked = last?.role === 'assistant' ? asksAbout(last.content, golden.schema) : [];
  if (asked.length === 0) return undefined;
  for (const slot of asked) {
    const items = undisclosed(context).filter((item) => item.slot === slot);
    if (items.length > 0) return tell(context, items, 'answer');
  }
  const known = golden.items().some((item) => asked.includes(item.slot));
  return say(context, known ? impersonal.alreadyTold : impersonal.refusal);
}

function idle(context: UserContext, volunteering: number, questioning: number): UserUtterance {
  const told = context.random.chance(volunteering) ? tell(context, undisclosed(context), 'volunteer') : undefined;
  return told ?? say(context, context.random.chance(questioning) ? impersonal.question : impersonal.smallTalk);
}

function undisclosed({ golden, disclosed }: UserContext): ProfileItem[] {
  return golden.items().filter((item) => !disclosed.has(item.key));
}

function tell(context: UserContext, items: readonly ProfileItem[], occasion: Occasion): UserUtterance | undefined {
  if (items.length === 0 || context.budget < 1) return undefined;
  const item = context.random.pick(items);
  return { ...say(context, disclosingPhrases(item, occasion, context.golden.schema)), disclosed: [item] };
}

/** One of the lines, if possible one that the user has not used in this dialogue. */
function say({ dialogue, random }: UserContext, lines: readonly string[]): UserUtterance {
  const said = new Set(dialogue.map((message) => message.content));
  const fresh = lines.filter((line) => !said.has(line));
  return { text: random.pick(fresh.length > 0 ? fresh : lines), disclosed: [] };
}
