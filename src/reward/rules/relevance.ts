import { contentWords, isGreeting } from '../../language/index';
import type { ProfileItem } from '../../profile/index';
import { fail, holdsOne, label, pass, type Reading, type Rule } from './reading';

/** Is about this user: uses what they told, or asks for what they have not told yet. */
export const relevance: Rule = (reading) => {
  const { reply, questions, asked, earlier, undisclosed, context } = reading;
  if (earlier.length === 0 && context.disclosed.length === 0) {
    if (questions.length > 0) return pass('opens with a question');
    return isGreeting(reply) ? pass('greets') : fail('neither greets nor asks anything');
  }

  const open = asked.find((slot) => undisclosed.some((item) => item.slot === slot));
  const known = asked.find((slot) => holdsOne(reading, slot) && context.disclosed.some((item) => item.slot === slot));
  if (open === undefined && known !== undefined) return fail(`asks for the ${label(reading, known)}, which the user has told`);
  if (open !== undefined) return pass(`asks for the ${label(reading, open)}`);

  const used = context.disclosed.find((item) => isMentioned(item, reading.content));
  if (used !== undefined) return pass(`uses what the user told: ${used.text}`);
  const guessed = undisclosed.find((item) => questions.some((question) => isMentioned(item, contentWords(question))));
  if (guessed !== undefined) return pass(`asks about what matters to this user: ${guessed.text}`);
  if (asked.length > 0) return fail(`asks for the ${label(reading, asked[0]!)}, of which there is nothing more to tell`);
  return fail('has nothing to do with what this user told or could tell');
};

function isMentioned(item: ProfileItem, content: Reading['content']): boolean {
  for (const word of contentWords(item.text)) if (content.has(word)) return true;
  return false;
}
