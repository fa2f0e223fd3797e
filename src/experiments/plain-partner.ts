import { contentWords, isDispleased, isGreeting } from '../language/index';
import type { ProfileItem } from '../profile/index';
import type { Random } from '../random';

/** Plain questions about each slot of the standard schema. */
const questions: Readonly<Record<string, readonly string[]>> = {
  age: ['How old are you?', 'What is your age?'],
  gender: ['Are you a man or a woman?'],
  interests: ['What do you do for fun?', 'What do you like to do?', 'Do you have other hobbies?', 'How do you spend your free time?'],
  educationBackground: ['What did you study?', 'Did you go to college?'],
  personalityTraits: [
    'What kind of person are you?',
    'How would you describe yourself?',
    'What are your friends saying about your character?',
  ],
  occupation: ['What do you do for a living?', 'What is your job?'],
  maritalStatus: ['Are you married?', 'Are you single?'],
  familyBackground: ['Do you have a family?', 'Do you have kids?'],
  location: ['Where do you live?', 'Which city do you live in?'],
  otherInformation: ['Do you have a pet or a car?', 'Is there anything else about you?', 'What else should I know?'],
};

const everyQuestion = Object.values(questions).flat();
const greetings = ['Hello!', 'Hi there!', 'Hey!', 'Nice to meet you.'];
const acknowledgements = ['I see.', 'Okay.', 'All right.', 'Got it.', 'That is nice.'];
const praises = ['You are amazing!', 'That is incredible!', 'You are so smart!', 'Perfect!'];
const apologies = ['Sorry about that.', 'I am sorry.'];
const mentions = ['{v}, I see.', '{v} sounds good.', 'So {v} it is.', 'I like {v} too.', 'Oh, {v}, nice.'];

/** What a plain partner may look at. */
export interface PartnerView {
  readonly message: string;
  /** What the message disclosed. */
  readonly disclosed: readonly ProfileItem[];
  readonly random: Random;
}

/**
 * A reply of a partner who can talk but does not care: opening and question are drawn at random, so that greetings, mentions, praise,
 * apologies and questions all come, fitting or not. It shows a policy what replies look like, not which of them to give.
 */
export function plainReply({ message, disclosed, random }: PartnerView): string {
  const opening = random.chance(0.85) ? plainOpening(message, disclosed, random) : '';
  const question = opening === '' || random.chance(0.5) ? random.pick(everyQuestion) : '';
  return [opening, question].filter((part) => part !== '').join(' ');
}

function plainOpening(message: string, disclosed: readonly ProfileItem[], random: Random): string {
  const kind = random.uniform();
  if (kind < 0.35) {
    const subjects = disclosed.length > 0 ? disclosed.map((item) => item.text) : [...contentWords(message)];
    if (subjects.length > 0) return capitalised(random.pick(mentions).replace('{v}', random.pick(subjects)));
  }
  if (kind < 0.45 && isGreeting(message)) return random.pick(greetings);
  if (kind < 0.5 && isDispleased(message)) return random.pick(apologies);
  if (kind < 0.85) return random.pick(acknowledgements);
  if (kind < 0.9) return random.pick(greetings);
  if (kind < 0.95) return random.pick(apologies);
  return random.pick(praises);
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** All fixed texts of the partner, for a tokenizer that is to read them. */
export const partnerTexts: readonly string[] = [...everyQuestion, ...greetings, ...acknowledgements, ...praises, ...apologies, ...mentions];

/** How carefully a partner takes notes: drawn once a dialogue, so that a policy sees careful and careless ones alike. */
export function noteTaking(random: Random): { readonly notes: number; readonly keeps: number } {
  return { notes: 0.15 + 0.4 * random.uniform(), keeps: 0.9 };
}
