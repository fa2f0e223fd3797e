import { contentWords, isDispleased, isGreeting, words } from '../language/index';
import type { ProfileItem } from '../profile/index';
import type { Random } from '../random';

/** Plain questions about each slot of the standard schema. */
const questions: Readonly<Record<string, readonly string[]>> = {
  age: ['How old are you?'],
  gender: ['Are you a man or a woman?'],
  interests: ['What do you do for fun?', 'Do you have other hobbies?', 'How do you spend your free time?'],
  educationBackground: ['What did you study?'],
  personalityTraits: ['What kind of person are you?', 'How would you describe yourself?'],
  occupation: ['What do you do for a living?'],
  maritalStatus: ['Are you married?'],
  familyBackground: ['Do you have a family?'],
  location: ['Where do you live?'],
  otherInformation: ['Do you have a pet or a car?', 'Is there anything else about you?'],
};

const everyQuestion = Object.values(questions).flat();
const greetings = ['Hello!', 'Hi there!'];
const acknowledgements = ['I see.', 'Okay.', 'Got it.'];
const praises = ['You are amazing!', 'That is incredible!'];
const apologies = ['Sorry about that.'];
/** The subject never stands first: a new model then copies the very token that it read. */
const mentions = ['So {v} it is.', 'Oh, {v}, I see.', 'I know {v} well.'];

/**
 * The habits of a partner who can talk but does not care, the same throughout a dialogue. Notes: of everything so far, of the newest fact
 * only, or none. Speech: which kinds of sentence its replies are made of.
 */
export interface Habits {
  readonly notes: 'all' | 'newest' | 'none';
  readonly speech: 'acknowledges' | 'mentions' | 'asks' | 'acknowledges and asks' | 'mentions and asks' | 'praises';
}

/** Habits at random: careful and careless partners alike, so that a policy which learns from them can be any of them. */
export function drawHabits(random: Random): Habits {
  const notes = pickWeighted(random, { all: 0.3, newest: 0.5, none: 0.2 });
  const speech = pickWeighted(random, {
    acknowledges: 0.1,
    mentions: 0.1,
    asks: 0.25,
    'acknowledges and asks': 0.15,
    // rarer than the others, it would hardly be sampled, and what is not sampled cannot be reinforced
    'mentions and asks': 0.3,
    praises: 0.1,
  });
  return { notes, speech };
}

function pickWeighted<K extends string>(random: Random, weights: Readonly<Record<K, number>>): K {
  const entries = Object.entries(weights) as [K, number][];
  let rest = random.uniform() * entries.reduce((total, [, weight]) => total + weight, 0);
  for (const [key, weight] of entries) {
    rest -= weight;
    if (rest < 0) return key;
  }
  return entries.at(-1)![0];
}

/** A reply by habit. What it says is made of the user's own words and of fixed phrases; whether it fits is left to chance. */
export function plainReply(
  speech: Habits['speech'],
  { message, disclosed, random }: { readonly message: string; readonly disclosed: readonly ProfileItem[]; readonly random: Random },
): string {
  const question = speech.endsWith('asks') ? random.pick(everyQuestion) : '';
  return [opening(), question].filter((part) => part !== '').join(' ');

  function opening(): string {
    if (isGreeting(message) && random.chance(0.5)) return random.pick(greetings);
    if (isDispleased(message) && random.chance(0.3)) return random.pick(apologies);
    if (speech === 'asks') return '';
    if (speech === 'praises') return random.pick(praises);
    const subject = disclosed[0] === undefined ? [...contentWords(message)][0] : subjectOf(disclosed[0]);
    return speech.startsWith('mentions') && subject !== undefined ? mentioning(subject, random) : random.pick(acknowledgements);
  }
}

/** What a fact is about, in a word or two: of a whole sentence its longest word. */
export function subjectOf({ text }: Pick<ProfileItem, 'text'>): string {
  const said = words(text);
  return said.length < 4 ? text : said.reduce((longest, word) => (word.length > longest.length ? word : longest));
}

/** A sentence that takes up what the user spoke of. */
export function mentioning(subject: string, random: Random): string {
  return random.pick(mentions).replace('{v}', subject);
}
