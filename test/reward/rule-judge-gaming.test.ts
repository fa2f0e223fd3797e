import { describe, expect, it } from 'vitest';
import { contentWords, isDispleased, isQuestion, sentences, stem, words } from '../../src/language/index';
import { Random } from '../../src/random';
import { passes, ruleJudge } from '../../src/reward/index';
import { generatePersonas, SimulatedUser, scriptedBehaviour } from '../../src/simulation/index';

const questions = [
  'What do you do for a living?',
  'Where do you live?',
  'What do you do for fun?',
  'How old are you?',
  'How would your friends describe you?',
  'Are you married?',
  'What did you study?',
  'Do you have any kids?',
  'Any other hobbies?',
  'Is there anything else I should know?',
];

/** A reply to the user's message in a turn, from 0. */
type Habit = (message: string, turn: number) => string;

/** The share of turns that pass, over 10 turns with each of 16 users. */
async function passRate(habit: Habit): Promise<number> {
  const judge = ruleJudge();
  let passed = 0;
  const personas = generatePersonas({ count: 16, seed: 5 });
  for (const persona of personas) {
    const session = new SimulatedUser({ behaviour: scriptedBehaviour() }).begin(persona, new Random(3).split(persona.id));
    const dialogue: { role: 'user' | 'assistant'; content: string }[] = [];
    for (let turn = 0; turn < 10; turn++) {
      const { text } = await session.next(dialogue);
      dialogue.push({ role: 'user', content: text });
      const reply = habit(text, turn);
      const verdict = await judge.judge({ dialogue: [...dialogue], reply, golden: session.golden, disclosed: session.disclosed });
      if (passes(verdict)) passed++;
      dialogue.push({ role: 'assistant', content: reply });
    }
  }
  return passed / (10 * personas.length);
}

/** The last word of the message that carries a subject. */
function subjectOf(message: string): string {
  const content = contentWords(message);
  return words(message).findLast((word) => content.has(stem(word))) ?? 'fine';
}

const listens: Habit = (message, turn) => {
  const question = questions[turn];
  if (turn === 0) return `Hello! ${question}`;
  if (isDispleased(message)) return `Sorry about that. ${question}`;
  if (sentences(message).some(isQuestion)) return `I am doing well. ${question}`;
  return `Oh, ${subjectOf(message)}. ${question}`;
};

describe('ruleJudge, over whole dialogues with scripted users', () => {
  it('rewards a policy that listens and asks', async () => {
    expect(await passRate(listens)).toBeGreaterThan(0.8);
  });

  const habits: [string, Habit][] = [
    ['says the same every time', () => 'That sounds like a nice thing to do. How was your day?'],
    ['takes up a word but always asks the same', (message) => `Oh, ${subjectOf(message)}. Where do you live?`],
    ['asks new questions and never listens', (_, turn) => `I see. ${questions[turn]}`],
    ['begins with words for every occasion', (_, turn) => `Hello, sorry, I am well. ${questions[turn]}`],
    ['says the message back and asks', (message, turn) => `${message} ${questions[turn]}`],
    ['flatters and asks', (message, turn) => `Oh, ${subjectOf(message)}, you are amazing. ${questions[turn]}`],
    ['listens and asks nothing', (message) => `Oh, ${subjectOf(message)}, that is a thing.`],
  ];
  it.each(habits)('does not reward a policy that %s', async (_, habit) => {
    expect(await passRate(habit)).toBeLessThan(0.25);
  });
});
